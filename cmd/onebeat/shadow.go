package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/shadow"
	"github.com/onebeat/onebeat/internal/store"
)

// Bounds of shadow.
const (
	shadowMost     = 7 * 24 * time.Hour
	shadowLook     = time.Second     // between looks at the entries, at least
	shadowPatience = 4 * time.Minute // django-celery-beat writes a run down after three
)

func shadowCommand() *cobra.Command {
	var during, patient time.Duration
	cmd := &cobra.Command{
		Use:   "shadow",
		Short: "Compare a running beat with what onebeat would send",
		Long: `Look on while another scheduler runs the entries, and compare what it sends with what
onebeat would: entry by entry, by the messages that are heard of at the broker, and else
by the last run and the count of runs that it keeps with each entry. It sends nothing,
and writes nothing but onebeat's own tables.
At Redis and RabbitMQ it listens to events: task-sent, if the other scheduler's
application has task_send_sent_event = True, else task-received of workers with -E. It
sees the messages themselves where the broker lets one look without taking: RabbitMQ
copies those through an exchange with a name, but Celery sends most through the default
exchange, which copies nothing; Redis shows what waits in a queue. Then arguments, queue,
expiry, and of messages also options and headers are compared too.
Without any of these, django-celery-beat and sqlalchemy-celery-beat write runs down after
up to three minutes: look on for longer.
Exit code 0: they agree. 3: they do not, or nothing could be compared.`,
		Example: "  onebeat shadow --catalog django --broker redis://localhost:6379/0 --for 15m\n  onebeat shadow --catalog redbeat --redbeat-url redis://localhost:6379/1 --for 2m --json",
		Args:    noArguments,
	}
	lengthVar(cmd.Flags(), &during, "for", 10*time.Minute, "how long to look on")
	lengthVar(cmd.Flags(), &patient, "patience", shadowPatience, "how long the other scheduler may keep a run to itself")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if during < time.Second || during > shadowMost || patient < 0 {
			return usage("shadow looks on for a second to a week: set --for so, and --patience to no less than 0")
		}
		ctx, stop := untilSignal(cmd.Context())
		defer stop()
		cmd.SetContext(ctx)
		return withStoreFor(cmd, during+time.Minute, func(ctx context.Context, s *store.Store, config app.Config) error {
			report, err := lookOn(ctx, cmd, s, config, during, patient)
			if err != nil {
				return err
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printShadow(cmd.OutOrStdout(), report)
			}
			if err == nil && !report.Agree {
				err = exitError{code: exitNo}
			}
			return err
		})
	}
	settingFlags(cmd, func(s app.Setting) bool { return ofDatabase(s) || s.Name == "broker" })
	return cmd
}

// A shadowReport is what shadow tells.
type shadowReport struct {
	Agree    bool             `json:"agree"` // on all that was compared, and something was
	Compared int              `json:"compared"`
	Entries  []shadow.Finding `json:"entries"`
	Broker   string           `json:"broker,omitempty"` // where it listened
	Heard    shadow.Heard     `json:"heard"`
	Unheard  string           `json:"unheard,omitempty"` // why it did not listen, or not all the time
}

// lookOn looks at the entries, and listens, until the time is over or a person ends it.
func lookOn(ctx context.Context, cmd *cobra.Command, s *store.Store, config app.Config, during, patient time.Duration) (report shadowReport, err error) {
	if err := s.EnsureOwn(ctx); err != nil {
		return report, err
	}
	messages, err := app.CelerySettings(config)
	if err != nil {
		return report, usage("%s", oneLine(err))
	}
	judge := shadow.Judge{Patience: patient}
	l, err := newListener(config)
	if err != nil {
		return report, err
	}
	defer l.close()
	shown := newProgress(cmd)
	defer shown.done()
	since := time.Now()
	templates := shadowTemplates{config: messages}
	over := time.NewTimer(during)
	defer over.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	for ended := false; !ended; {
		select {
		case sighting := <-l.heard:
			judge.Hear(sighting)
			continue
		case news := <-l.news:
			judge.Listening(news == nil, time.Now())
			l.tell(news)
			continue
		case <-over.C:
			ended = true
		case <-ctx.Done():
			ended = true
		case <-look.C:
		}
		began := time.Now()
		if err := lookAt(ctx, s, &judge, &templates); err != nil {
			if errors.Is(ctx.Err(), context.Canceled) { // a person's wish
				break
			}
			return report, err
		}
		l.follow(ctx, templates.routes)
		heard := judge.Heard()
		shown.say("%v of %v, %d messages and events heard; Ctrl-C ends it and compares what was seen",
			time.Since(since).Round(time.Second), during, heard.Sent+heard.Received+heard.Messages)
		look.Reset(max(shadowLook, 5*time.Since(began))) // a fifth of the time at most
	}
	l.close()
	for {
		select {
		case sighting := <-l.heard:
			judge.Hear(sighting)
			continue
		default:
		}
		break
	}
	report = shadowReport{Entries: judge.Findings(time.Now()), Broker: l.name(), Heard: judge.Heard(), Unheard: l.unheard()}
	report.settle()
	return report, nil
}

// settle says by the entries how much was compared, and whether they agree.
func (r *shadowReport) settle() {
	r.Compared, r.Agree = 0, true
	for _, f := range r.Entries {
		r.Agree = r.Agree && f.Agrees()
		r.Compared += f.Both + f.OnlyBeat + f.OnlyOnebeat
	}
	r.Agree = r.Agree && r.Compared > 0
}

// lookAt takes in the entries as they are now.
func lookAt(ctx context.Context, s *store.Store, judge *shadow.Judge, templates *shadowTemplates) error {
	if err := s.ReadSources(ctx); err != nil {
		return err
	}
	rows, err := s.List(ctx)
	if err != nil {
		return err
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	judge.See(now, templates.entries(rows))
	return nil
}

// shadowTemplates makes each entry's message ready, once.
type shadowTemplates struct {
	config *celery.Config
	known  map[schedule.ID]shadowTemplate
	routes []celery.Route // of all, each once
}

type shadowTemplate struct {
	of       celery.Task
	template *celery.Template
}

func (t *shadowTemplates) entries(rows []store.Row) []shadow.Entry {
	entries := make([]shadow.Entry, len(rows))
	known := make(map[schedule.ID]shadowTemplate, len(rows))
	routes := map[string]celery.Route{}
	for i, row := range rows {
		e := shadow.Entry{
			ID: row.ID, Name: row.Name, Text: row.Spec, Last: row.LastRunAt, Count: row.TotalRunCount, Task: row.Task,
			Keeps: !strings.HasPrefix(string(row.ID), "file:"), // files keep no last run
		}
		switch {
		case row.Entry != nil:
			e.Spec = row.Entry.Spec
		case row.Problem != "":
			e.Off = row.Problem
		default:
			e.Off = row.State
		}
		of := celery.Task{Name: row.Task, Entry: row.Name, Args: row.Args, Kwargs: row.Kwargs, Options: row.Options}
		made := t.known[row.ID]
		if made.template == nil || made.of != of {
			made = shadowTemplate{of: of}
			if template, err := t.config.Template(of); err == nil { // else its row has told of it
				made.template = template
			}
		}
		known[row.ID] = made
		if e.Template = made.template; e.Template != nil && row.Entry != nil {
			r := e.Template.Route()
			routes[r.Exchange+"\x00"+r.RoutingKey] = r
		}
		entries[i] = e
	}
	t.known, t.routes = known, nil
	for _, key := range slices.Sorted(maps.Keys(routes)) {
		t.routes = append(t.routes, routes[key])
	}
	return entries
}

// quietMost is how many entries of which there is nothing to tell are listed all the same.
const quietMost = 20

func printShadow(out io.Writer, report shadowReport) error {
	quiet, apart := 0, few{}
	for _, f := range report.Entries {
		if f.Quiet() {
			quiet++
		}
		if !f.Agrees() {
			apart.add(func() string { return f.Name })
		}
	}
	err := printTable(out, func(line func(cells ...any)) {
		line("ENTRY", "SPEC", "BOTH", "ONLY BEAT", "ONLY ONEBEAT", "OPEN", "BEAT LATE", "SEEN BY", "REMARK")
		for _, f := range report.Entries {
			if quiet > quietMost && f.Quiet() {
				continue
			}
			late := "-"
			if f.Timed() {
				late = fmt.Sprintf("%.2fs", f.Worst)
				if f.Least < -0.005 {
					late = fmt.Sprintf("%.2fs to %.2fs", f.Least, f.Worst)
				}
			}
			line(f.Name, f.Spec, f.Both, f.OnlyBeat, f.OnlyOnebeat, f.Open, late, orDash(strings.Join(f.Ways, ", ")), orDash(f.Remark))
		}
	})
	if err != nil {
		return err
	}
	if quiet > quietMost {
		fmt.Fprintf(out, "Not listed: %s without a slot in this time, of which nothing was seen either. --json has all.\n", schedule.Counted(quiet, "entry"))
	}
	h := report.Heard
	if report.Broker != "" {
		fmt.Fprintf(out, "Heard at %s: %s of senders, %d of workers, and %s.\n", report.Broker, schedule.Counted(h.Sent, "event"), h.Received, schedule.Counted(h.Messages, "message"))
	}
	if len(h.Senders) > 0 {
		fmt.Fprintf(out, "The entries' messages came from %s.\n", strings.Join(h.Senders, ", "))
	}
	if h.Strays > 0 {
		fmt.Fprintf(out, "Of the entries' tasks, but no entry's: %s. An application sends these tasks too.\n", schedule.Counted(h.Strays, "message"))
	}
	if report.Unheard != "" {
		fmt.Fprintf(out, "Not all was heard: %s.\n", report.Unheard)
	}
	switch {
	case report.Compared == 0:
		fmt.Fprintln(out, "Nothing could be compared: no message was heard, and no run was written down. Look on for longer, while the other scheduler runs.")
	case report.Agree:
		fmt.Fprintf(out, "They agree on all that was compared, %s. Stop the other scheduler, and start `onebeat serve --take-over-at now`.\n", schedule.Counted(report.Compared, "slot"))
	default:
		fmt.Fprintf(out, "They do not agree on %d of %s: %s. See the remarks.\n", apart.n, schedule.Counted(len(report.Entries), "entry"), apart)
	}
	return nil
}
