package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A finding is one thing that check looked at.
type finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Note string `json:"note,omitempty"` // what is wrong and what to do, or worth knowing
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look at settings, database, broker, clock, workers and every row, and say what to do",
		Long: `Look at the settings, the connections, the clock, the queues and every row, and say what to do.
At Redis and RabbitMQ the workers are asked too whether they take from the queues that entries
go to, and know the tasks. It changes nothing. Exit code 0: all is well. 3: something is not.`,
		Example: "  onebeat check\n  onebeat check --database sqlite:///schedules.db --broker redis://localhost:6379/1 --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := settings(cmd)
		if err != nil {
			return err
		}
		findings := look(cmd.Context(), config)
		ok := true
		for _, f := range findings {
			ok = ok && f.OK
		}
		if *asJSON {
			if err := printJSON(cmd.OutOrStdout(), map[string]any{"ok": ok, "findings": findings}); err != nil {
				return err
			}
		} else {
			printFindings(cmd, findings)
		}
		if !ok {
			return exitError{code: exitNo}
		}
		return nil
	}
	settingFlags(cmd, ofDaemon)
	return cmd
}

// look finds out all that it can. What has to be read or counted of each row may take as long as a forecast.
func look(ctx context.Context, config app.Config) []finding {
	whole, cancel := context.WithTimeout(ctx, app.ForecastPatience)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 2*patience)
	defer cancel()
	var findings []finding
	add := func(what, note string, err error) bool {
		if err != nil {
			note = oneLine(err)
		}
		if err != nil && slices.ContainsFunc(findings, func(f finding) bool { return !f.OK && f.Note == note }) {
			return false // said already
		}
		findings = append(findings, finding{what, err == nil, note})
		return err == nil
	}
	zones := lookAtZones(zoneDirs, time.Now())
	add("zones", zones.note(), nil)
	celery, err := app.CelerySettings(config)
	add("Celery's settings", "", err)
	for _, slip := range slips(os.Environ()) {
		add("environment", "", slip)
	}
	var b broker.Broker
	if add("URLs", "", app.CheckURLs(config)) {
		var f finding
		if b, f = lookAtBroker(ctx, config); b != nil {
			defer func() { _ = b.Close() }()
		}
		findings = append(findings, f)
		findings = append(findings, lookAtKeeping(ctx, broker.KeeperOf(b))...)
	}
	if celery == nil || store.CheckURL(config.String("database")) != nil {
		return findings
	}
	s, err := app.OpenStore(ctx, config, celery, store.MissingRefused, slog.New(slog.DiscardHandler))
	if !add("database", broker.Redact(config.String("database")), err) {
		return findings
	}
	defer s.Close()
	if s.Missing() {
		findings[len(findings)-1].Note += " is not there yet: `onebeat serve` makes it, and onebeat's own tables"
	}

	if note := lookAtJoin(ctx, s, broker.SharedOf(b)); note != "" {
		add("messages", note, nil)
	}
	pending, err := s.Pending(ctx)
	note := "all tables, columns and triggers are in place"
	if len(pending) > 0 {
		note = fmt.Sprintf("`onebeat migrate` would run %s (--print shows the SQL); without that, edits are seen within 2 s, not at once", schedule.Counted(len(pending), "statement"))
	}
	if !s.Missing() || err != nil {
		add("tables", note, err)
	}
	unwritten := s.Rights(ctx)
	if unwritten != nil {
		what, err := "writes", unwritten
		if refused := new(store.RightsError); errors.As(unwritten, &refused) {
			what = "rights"
			err = fmt.Errorf("%w. This is the user of `onebeat check`: what the user of nodes may do, if that is another, is not known here", unwritten)
		}
		add(what, "", err)
	}
	if left, ok := s.Room(); ok && left < leastRoom {
		add("disk", "", fmt.Errorf("only %d MB are left for the file of the database: make room; once its disk is full nothing more is sent", left>>20))
	}
	if err := s.HandedBack(ctx); errors.Is(err, store.ErrHandedBack) && config.String("take-over-at") == "" {
		add("take-over", "", err)
	}
	findings = append(findings, lookAtNodes(ctx, s, config, unwritten)...)
	now, err := s.Now(ctx)
	if add("clock", "", err) {
		f := &findings[len(findings)-1]
		apart := time.Until(now).Round(time.Millisecond)
		f.OK = apart.Abs() < 2*time.Second
		f.Note = fmt.Sprintf("the database's clock is %v apart from this machine's", apart.Abs())
		if !f.OK {
			f.Note += ": set both by NTP; onebeat follows the database's"
		}
	}
	if err := s.Look(ctx); err != nil {
		add("rows", "", explain(err))
		return findings // what is asked of calendars and windows is asked of rows too
	}
	windows, usable, windowsErr := s.Windows(ctx)
	rows := newRows(now)
	rows.waits = newWaits(config)
	if finder := broker.FinderOf(b); finder != nil && !config.Bool("declare") {
		rows.queues = newQueues(finder, celery)
	}
	if b != nil {
		rows.workers = newWorkers(celery)
	}
	err = s.Outline(whole, func(row store.Row) { rows.add(row, usable) })
	if !add("rows", fmt.Sprintf("%d in all, %d set aside", rows.all, len(rows.bad)), explain(err)) {
		return findings
	}
	if doubled, err := s.Doubled(whole); err != nil || doubled > 0 {
		add("ids", "", cmp.Or(explain(err), fmt.Errorf("%s with the id of another: of those of one id only one is sent, the enabled one with the first name. Give each its own, and make the column the primary key", schedule.Counted(doubled, "row"))))
	}
	for _, row := range rows.bad[:min(len(rows.bad), mostBad)] {
		findings = append(findings, finding{fmt.Sprintf("entry %s (%s)", row.Name, row.ID), false, row.Problem})
	}
	if more := len(rows.bad) - mostBad; more > 0 {
		findings = append(findings, finding{"rows", false, fmt.Sprintf("%d more are set aside: `onebeat entries list --bad` names all", more)})
	}
	if note := rows.silent.note(); note != "" && !now.IsZero() {
		findings = append(findings, finding{"last runs", false, note})
	}
	if note, err := rows.rivals.note(ctx, s, app.Unseen(config)); err != nil {
		add("last runs", "", explain(err))
	} else if note != "" {
		findings = append(findings, finding{"another scheduler", false, note})
	}
	for _, note := range []string{rows.unknown.note(), rows.oneID.note(), rows.waits.note()} {
		if note != "" {
			add("options", note, nil)
		}
	}
	if unheeded, err := s.Unheeded(ctx); err != nil || unheeded > 0 {
		add("execution_policy", schedule.Counted(unheeded, "entry")+" with skip or queue: onebeat sends each slot, whether or not the run before it has ended; a lock in the task keeps runs apart", err)
	}
	findings = append(findings, lookAtBrokerRights(whole, b, rows.workers.routes())...)
	lacking := rows.queues.look(whole)
	findings = append(findings, lacking...)
	findings = append(findings, rows.workers.look(whole, config, lacking)...)
	if strings.Contains(","+config.String("catalog")+",", ",django,") {
		findings = append(findings, lookAtDjango(whole, s, config, slices.Sorted(maps.Keys(rows.named))))
	}
	if note := zones.ofEntries(rows.zones); note != "" {
		add("zones of entries", note, nil)
	}
	findings = append(findings, lookAtCalendars(whole, s, time.Now())...)
	if windowsErr != nil {
		add("windows", "", explain(windowsErr))
	}
	for _, window := range windows {
		if window.Problem != "" {
			findings = append(findings, finding{"window " + window.Name, false, window.Problem})
		}
	}
	if note := cleanup(config.String("result-backend"), rows.cleaned); note != "" {
		add("results", note, nil)
	}
	if note, err := herd(whole, rows.slots); note != "" || err != nil {
		add("herd", note, err)
	}
	return findings
}

// leastRoom is what the log of a SQLite file may take before it goes into the file.
const leastRoom = 32 << 20

// mostBad is of how many bad rows a line is printed: what else is wrong is not to be lost among them.
const mostBad = 100

// rows are what check keeps of all rows: little, however many they are.
type rows struct {
	all     int
	bad     []store.Row
	zones   map[string]int      // whose clocks entries go by, and how many do
	named   map[string]struct{} // zones that rows name
	cleaned bool                // an entry deletes results that have expired
	silent  silent
	rivals  rivals
	unknown unknown
	oneID   oneID
	waits   waits
	queues  queues
	workers workers
	slots   *forecast.Count
}

func newRows(now time.Time) *rows {
	return &rows{zones: map[string]int{}, named: map[string]struct{}{}, silent: silent{now: now}, rivals: rivals{now: now}, slots: forecast.New(now, now, herdAhead)}
}

func (r *rows) add(row store.Row, windows *schedule.Windows) {
	r.all++
	if row.State == schedule.ReasonBadRow {
		r.bad = append(r.bad, row)
	}
	if row.Zone != "" {
		r.named[row.Zone] = struct{}{}
	}
	r.silent.add(row)
	r.rivals.add(row)
	r.unknown.add(row)
	r.oneID.add(row)
	r.waits.add(row)
	r.queues.add(row)
	r.workers.add(row)
	r.cleaned = r.cleaned || row.Task == cleanupTask
	if row.Entry == nil {
		return
	}
	if zone := locationOf(row.Entry.Spec); zone != "" {
		r.zones[zone]++
	}
	if e, ok := app.Forecasted(row, windows); ok {
		r.slots.Add(e)
	}
}

// cleanupTask deletes results that have expired.
const cleanupTask = "celery.backend_cleanup"

// keepsResults are the kinds of result backend that do not let results expire by
// themselves (supports_autoexpire of celery/backends, 5.7).
var keepsResults = []string{"db+", "database", "django-db", "file:", "mongodb:"}

// cleanup says that results stay for good: Celery's beat adds an entry against that by
// itself (celery/beat.py, install_default_entries), onebeat adds none.
func cleanup(backend string, cleaned bool) string {
	if cleaned || !slices.ContainsFunc(keepsResults, func(kind string) bool { return strings.HasPrefix(backend, kind) }) {
		return ""
	}
	return "no entry deletes results that have expired, as Celery's beat would: " +
		"add one for the task " + cleanupTask + ", each day at four (0 4 * * *), with the option expires 43200"
}

// lookAtCalendars tells of calendars that can't be used, and of those that entries go
// by and that soon have no day off any more: nobody sees by the slots that one was forgotten.
func lookAtCalendars(ctx context.Context, s *store.Store, now time.Time) (findings []finding) {
	all, err := s.Calendars(ctx)
	if err != nil {
		return []finding{{"calendars", false, oneLine(explain(err))}}
	}
	soon := now.AddDate(0, 0, 60).Format(time.DateOnly)
	for _, c := range all {
		last := c.Days[len(c.Days)-1].Day
		switch {
		case c.Problem != "":
			findings = append(findings, finding{"calendar " + c.Name, false, c.Problem})
		case len(c.Entries) > 0 && last < soon:
			findings = append(findings, finding{"calendar " + c.Name, true, fmt.Sprintf("its last day off is %s: import the coming ones; used by %s", last, schedule.Counted(len(c.Entries), "entry"))})
		}
	}
	return findings
}

// slips are the variables that look like a setting's and are none, and so are passed over. What is like none
// is another's: an engine of containers names some after the service.
func slips(environ []string) (faults []error) {
	var names []string
	for _, s := range app.Settings {
		names = append(names, s.Name)
	}
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		variable, value, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(variable, "ONEBEAT_")
		name := strings.ReplaceAll(strings.ToLower(rest), "_", "-")
		if near := celery.Near(name, names); ours && value != "" && near != "" && near != name {
			i := slices.Index(names, near)
			faults = append(faults, fmt.Errorf("%s is no setting and is passed over: did you mean %s?", variable, app.Settings[i].Env()))
		}
	}
	return faults
}

// lookAtBroker returns the broker too, if it answers; whoever called closes it.
func lookAtBroker(ctx context.Context, config app.Config) (broker.Broker, finding) {
	b, err := app.OpenBroker(config, broker.Options{Installation: "check", Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		asked, cancel := context.WithTimeout(ctx, patience) // a broker that says nothing leaves the database its time
		defer cancel()
		if err = b.Ping(asked); err != nil {
			_ = b.Close()
			what := ": does it run, and is its URL right?"
			switch {
			case strings.Contains(err.Error(), "TLS"), strings.Contains(err.Error(), "certificate"): // it answers, and that is told
				what = ""
			case errors.Is(err, celery.ErrLogin):
				what = "; correct them in the URL of the broker"
			case errors.Is(err, context.DeadlineExceeded):
				what = ": does it run, is it frozen or under load, and is its URL right?"
			case errors.Is(err, celery.ErrTakesNone):
				what = "; mend that, or name another server in the URL of the broker"
			}
			err = fmt.Errorf("%w%s", err, what)
		}
	}
	if err != nil {
		return nil, finding{"broker", false, oneLine(err)}
	}
	return b, finding{"broker", true, broker.Redact(config.String("broker"))}
}

// lookAtKeeping tells what the broker would lose by its own settings.
func lookAtKeeping(ctx context.Context, keeper broker.Keeper) (findings []finding) {
	if keeper == nil {
		return nil
	}
	anew, working, err := keeper.Forgets(ctx)
	if err != nil {
		return nil // who sends need not have the right to ask
	}
	if working != "" {
		findings = append(findings, finding{"broker's messages", false, working})
	}
	if anew != "" {
		findings = append(findings, finding{"broker's messages", true, anew})
	}
	return findings
}

// lookAtBrokerRights tells what the broker's user may not do and sending the entries' messages needs.
func lookAtBrokerRights(ctx context.Context, b broker.Broker, routes []celery.Route) []finding {
	refuser := broker.RefuserOf(b)
	if refuser == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	refused, err := refuser.Refuses(ctx, routes)
	if err != nil || len(refused) == 0 {
		return nil // that it does not answer is told elsewhere
	}
	var all few
	for _, command := range refused {
		all.add(func() string { return legible(command) })
	}
	return []finding{{"broker's rights", false, fmt.Sprintf("the user may not run %s, so that slots fail or nothing is sent: docs/operating.md lists the rights that it needs", all)}}
}

// lookAtJoin tells of a broker in a database whether that is the one with the schedules; of others nothing.
func lookAtJoin(ctx context.Context, s *store.Store, shared *broker.Shared) string {
	if shared == nil {
		return ""
	}
	switch joined, err := app.Joined(ctx, s, shared); {
	case err != nil:
		return "sent in one transaction and recorded in another, for the broker cannot be written with the schedules' database: " + oneLine(err)
	case joined:
		return "sent and recorded in one transaction: the broker is in the schedules' database"
	}
	return "sent in one transaction and recorded in another: the broker is not in the schedules' database"
}

func printFindings(cmd *cobra.Command, findings []finding) {
	for _, f := range findings {
		mark := "ok    "
		if !f.OK {
			mark = "WRONG "
		}
		line := mark + f.What
		if f.Note != "" {
			line += ": " + f.Note
		}
		fmt.Fprintln(cmd.OutOrStdout(), wrapped(legible(line), terminalColumns(cmd.OutOrStdout()), len(mark)))
	}
}
