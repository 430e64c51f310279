package main

import (
	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
)

func devCommand() *cobra.Command {
	var address, file string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run with everything embedded: a database file and a broker that speaks Redis",
		Long: `Run with everything embedded, to try onebeat or to develop tasks: a SQLite file
with sample entries, and a broker that speaks Redis on a local port. Start a worker on it:

  celery -A yourapp --broker redis://127.0.0.1:7379/0 worker

Other verbs find the entries with --database sqlite:///onebeat-dev.db.`,
		Example: "  onebeat dev\n  onebeat dev --redis-listen 127.0.0.1:7400 --file /tmp/dev.db",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			broker, err := app.DevBroker(address)
			if err != nil {
				return usage("--redis-listen %s: %v", address, err)
			}
			given := map[string]string{
				"database": "sqlite:///" + file, "broker": broker, "redis-url": broker, "events": "true",
				"listen": cmd.Flag("listen").Value.String(), "log-level": cmd.Flag("log-level").Value.String(),
				"zone": cmd.Flag("zone").Value.String(),
			}
			config, err := app.Load(given, func(string) string { return "" }, nil)
			if err != nil {
				return usage("%s", oneLine(err))
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return app.Dev(ctx, config, address, cmd.OutOrStdout(), app.NewLogger(config, cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&address, "redis-listen", "127.0.0.1:7379", "where the embedded broker listens")
	flags.StringVar(&file, "file", "onebeat-dev.db", "the SQLite file; it is made if it is not there")
	flags.String("listen", "127.0.0.1:8080", "where the page, /healthz, /readyz, /metrics and /forecast are served; off for nowhere")
	flags.String("log-level", "info", "debug, info, warn or error")
	flags.String("zone", "UTC", "the time zone of crontabs that name none")
	return cmd
}
