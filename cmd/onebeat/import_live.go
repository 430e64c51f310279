package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/celeryapp"
)

// liveMost is the longest that workers are waited for.
const liveMost = time.Minute

func importLive() *cobra.Command {
	var workers []string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "live",
		Short: "Take over what running workers tell of beat_schedule, queues and tasks",
		Long: `Ask the running workers over the broker (Celery's remote control) for what
"import celery" reads from an application's code, and take it over in the same way: the
entries of beat_schedule to the table, or with --file to a file, and with --settings
queues, routes and the tasks' own options to a settings file. It runs no code, leaves
nothing at the broker, and needs Redis or RabbitMQ. Workers tell objects of Python's as
text, and hide what sounds like a secret: what cannot be learnt from them, or what they
disagree about, is named, and "import celery" is then the nearest way. A schedule of a
class of your own is taken for what it shows itself as. Without --apply it prints what it
would do and changes nothing.
Exit code 0: all can be carried over. 3: something cannot.`,
		Example: "  onebeat import live --broker redis://localhost:6379/0\n  onebeat import live --file schedules.yaml --settings onebeat.yaml --apply\n  onebeat import live --worker celery@one --wait 5s",
		Args:    noArguments,
	}
	lengthVar(cmd.Flags(), &wait, "wait", 2*time.Second, "how long workers may take to answer")
	cmd.Flags().StringArrayVar(&workers, "worker", nil, "ask this worker alone, such as celery@host; may be given several times")
	importApp(cmd, func(s app.Setting) bool { return ofDatabase(s) || s.Name == "broker" }, func(ctx context.Context, config app.Config, _ []string) (celeryapp.App, error) {
		if wait < 100*time.Millisecond || wait > liveMost {
			return celeryapp.App{}, usage("workers are waited for from 100ms to %v: set --wait so", liveMost)
		}
		told, err := askWorkers(ctx, config, workers, wait)
		if err != nil {
			return celeryapp.App{}, err
		}
		return celeryapp.FromWorkers(told)
	})
	return cmd
}

// askWorkers asks for what FromWorkers reads.
func askWorkers(ctx context.Context, config app.Config, names []string, wait time.Duration) ([]celeryapp.Worker, error) {
	observer, err := app.OpenObserver(config, broker.Options{Installation: "import", Node: "onebeat", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, usage("%s", oneLine(err))
	}
	defer func() { _ = observer.Close() }()
	replies, err := observer.Ask(ctx, []celery.Request{
		{Method: "conf", Ticket: "conf", Arguments: map[string]any{"with_defaults": true}, Workers: names},
		{Method: "registered", Ticket: "registered", Arguments: map[string]any{"taskinfoitems": celeryapp.Attributes()}, Workers: names},
		{Method: "active_queues", Ticket: "active_queues", Workers: names},
	}, wait)
	if err != nil {
		return nil, err
	}
	told := map[string]celeryapp.Worker{}
	for _, name := range names {
		told[name] = celeryapp.Worker{Name: name}
	}
	for _, r := range replies {
		w := told[r.Worker]
		w.Name = r.Worker
		*map[string]*json.RawMessage{"conf": &w.Conf, "registered": &w.Registered, "active_queues": &w.Queues}[r.Ticket] = r.Answer
		told[r.Worker] = w
	}
	if len(replies) == 0 {
		return nil, fmt.Errorf("no worker answered at %s within %v: do they run, at this broker and database, with remote control on (worker_enable_remote_control), and has onebeat their broker_transport_options, such as global_keyprefix, in the file of --config? --wait says how long they may take", observer, wait)
	}
	var all []celeryapp.Worker
	for _, name := range slices.Sorted(maps.Keys(told)) {
		all = append(all, told[name])
	}
	return all, nil
}

// printWorkers says who has told what is taken over.
func printWorkers(out io.Writer, found celeryapp.App) {
	if found.Workers != nil {
		fmt.Fprintf(out, "Told by %d: %s.\n", len(found.Workers), strings.Join(found.Workers, ", "))
	}
}
