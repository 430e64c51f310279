package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "serve",
		SuggestFor: []string{"start", "beat", "daemon"},
		Short:      "Send the tasks of a database's schedules: the daemon",
		Long: `Send the tasks of a database's schedules to Celery's broker, each slot once.

It runs until SIGTERM or SIGINT, and then sends and records what it had claimed.
Start as many as you like on one database: one works, the others wait for it to end.
The environment of an existing deployment (DATABASE_URL, CELERY_BROKER_URL,
CELERY_TIMEZONE, REDIS_URL) is enough; ONEBEAT_* and flags win over it.`,
		Example: `  onebeat serve --database postgresql://app@localhost/app --broker redis://localhost:6379/1
  onebeat serve --config onebeat.yaml --log-format json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, wrong := settings(cmd)
			_, wrongCelery := app.CelerySettings(config)
			if err := errors.Join(wrong, wrongCelery, app.CheckURLs(config)); err != nil {
				return usage("%s", oneLine(err))
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			signal.Ignore(syscall.SIGPIPE) // who reads the log may end before it
			err := app.Run(ctx, config, app.NewLogger(config, cmd.ErrOrStderr()))
			if refused := new(app.RefusedError); errors.As(err, &refused) {
				return usage("%s", oneLine(err))
			}
			return err
		},
	}
	settingFlags(cmd, ofDaemon)
	return cmd
}

// untilSignal returns a context that ends at the first SIGTERM or SIGINT; the
// second ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// noArguments refuses arguments of a verb that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument such as %q: see %s --help", cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}
