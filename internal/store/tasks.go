package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A taskRow is a row of django-celery-beat's or sqlalchemy-celery-beat's table of tasks with
// the schedule that it refers to.
type taskRow struct {
	queue, exchange, routingKey, headers string

	priority, expireSeconds    *int64
	expires, start, lastRun    time.Time
	every                      *int64
	period                     string
	minute, hour, dayOfWeek    *string
	dayOfMonth, monthOfYear    string
	solar, latitude, longitude *string
	clocked                    time.Time
}

// scanTask reads the columns of the statement entries, in order, and leaves those after
// them. Instants are as the clocks have them. Which is for the one that says which schedule the row refers to, of which refers
// then says what is wrong.
func scanTask(r *row, by clocks, from scanner, rest int, which any, refers func() error) error {
	var d taskRow
	var changed, lastRun, expires, start, clocked lenient
	into := []any{
		orEmpty{&r.id},
		orEmpty{&r.name},
		orEmpty{&r.task},
		truth{&r.enabled},
		orEmpty{&r.args},
		orEmpty{&r.kwargs},
		orEmpty{&d.queue},
		orEmpty{&d.exchange},
		orEmpty{&d.routingKey},
		orEmpty{&d.headers},
		&d.priority, &expires, &d.expireSeconds,
		truth{&r.oneOff},
		&start, &changed, &lastRun, &r.totalRunCount,
		which, &d.every,
		orEmpty{&d.period},
		&d.minute, &d.hour, &d.dayOfWeek,
		orEmpty{&d.dayOfMonth},
		orEmpty{&d.monthOfYear},
		orEmpty{&r.zone},
		&d.solar, &d.latitude, &d.longitude, &clocked,
		&r.known, &r.seenSpec,
		instant{&r.afterAt},
		instant{&r.lastSlot},
		&r.sideCount,
		instant{&r.pausedAt},
		instant{&r.pausedUntil},
		&r.pauseReason, &r.pausedBy,
		instant{&r.readAt},
	}
	for range rest {
		into = append(into, ignored{})
	}
	if err := from.Scan(into...); err != nil {
		return err
	}
	r.createdAt, r.lastRunAt = by.columns.read(changed), by.runs.read(lastRun)
	if by.runs.zone != nil && lastRun.at.Equal(by.runs.write(r.lastSlot)) {
		r.lastRunAt = r.lastSlot // what clocks show twice, or never, says of itself not which it is
	}
	r.ran = r.enabled && r.oneOff && r.totalRunCount > 0 // Celery's beat disables it when it next looks at it
	r.enabled = r.enabled && !r.ran
	d.expires, d.start, d.clocked = by.columns.read(expires), by.columns.read(start), by.columns.read(clocked)
	d.lastRun = r.lastRunAt
	var err error
	if r.task == "" {
		err = errors.New("task is empty: write the Celery task's name there")
	}
	if err == nil {
		err = cmp.Or(expires.needed("expires", "infinity"), start.needed("start_time", "-infinity"), clocked.needed("clocked_time", ""))
	}
	if err == nil {
		err = refers()
	}
	if err == nil {
		r.spec, err = d.spec(r)
	}
	if err == nil {
		r.rules, err = d.bounds()
	}
	if err == nil {
		r.options, err = d.options()
	}
	if err != nil {
		r.problem = err.Error()
	}
	return nil
}

// spec is when the row is due, in the grammar of specs. An error says what is wrong
// with the row and what to do.
func (d *taskRow) spec(r *row) (spec string, err error) {
	switch {
	case !d.expires.IsZero() && d.expireSeconds != nil:
		return "", errors.New("both expires and expire_seconds are set: keep one")
	case d.every != nil:
		spec, err = d.interval(r.createdAt)
	case d.minute != nil:
		spec, err = d.crontab()
	case d.solar != nil:
		spec = fmt.Sprintf("@solar %s %s %s", *d.solar, text(d.latitude), text(d.longitude))
	case !d.clocked.IsZero():
		if !r.oneOff {
			return "", errors.New("a clocked task must be one-off: set one_off")
		}
		return "@at " + schedule.Later(d.clocked, d.start).Format(time.RFC3339Nano), nil
	default:
		return "", errors.New("the task's schedule is not in its table, or is empty there: choose another")
	}
	return spec, err
}

// bounds are the rules that say from when on and up to when the schedule counts.
func (d *taskRow) bounds() (string, error) {
	start := d.start
	if !d.clocked.IsZero() { // its slot is no earlier anyway
		start = schedule.Later(d.clocked, d.start)
	}
	switch {
	case !d.expires.IsZero() && !d.expires.After(start):
		return "", errors.New("the task expires before it begins: name a later expires")
	case !d.clocked.IsZero() || start.IsZero() && d.expires.IsZero():
		return "", nil
	}
	bounds := struct {
		Start string `json:"start,omitempty"`
		End   string `json:"end,omitempty"`
	}{}
	if !start.IsZero() {
		bounds.Start = start.Format(time.RFC3339Nano)
	}
	if !d.expires.IsZero() {
		bounds.End = d.expires.Add(-time.Microsecond).Format(time.RFC3339Nano)
	}
	made, err := json.Marshal(bounds)
	return string(made), err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// periods are how long the units of an interval are.
var periods = map[string]time.Duration{
	"days": 24 * time.Hour, "hours": time.Hour, "minutes": time.Minute, "seconds": time.Second, "microseconds": time.Microsecond,
}

// interval is the spec of an interval. Celery counts from one run to the next: here
// the runs lie on the grid of the last, or of the start, or of the last change. Each
// slot that is written as the last run lies on the same grid, so that a run moves
// nothing. An interval of parts of seconds keeps to the grid of the start, or of the
// Unix epoch.
func (d *taskRow) interval(changed time.Time) (string, error) {
	unit, ok := periods[d.period]
	switch {
	case !ok:
		return "", fmt.Errorf("the interval's period is %q: write days, hours, minutes, seconds or microseconds", d.period)
	case *d.every < 1:
		return "", fmt.Errorf("an interval of %d %s leads nowhere: use 1 or more", *d.every, d.period)
	case *d.every > math.MaxInt64/int64(unit):
		return "", fmt.Errorf("an interval of %d %s is too long: an interval ends at 292 years", *d.every, d.period)
	}
	period := time.Duration(*d.every) * unit
	if period < time.Second {
		return "", fmt.Errorf("an interval of %d %s is too short: use a second or more", *d.every, d.period)
	}
	from := changed
	switch whole := period%time.Second == 0; {
	case !d.lastRun.IsZero() && whole:
		from = d.lastRun
	case !d.start.IsZero():
		from = d.start
	case !whole: // not all columns hold parts of a second
		from = time.Unix(0, 0)
	}
	from = schedule.GridThrough(from, period)
	return fmt.Sprintf("@every %v from %s", period, from.Format(time.RFC3339Nano)), nil
}

// crontab is the spec of a crontab's five columns, in each of which blanks may stand
// around commas.
func (d *taskRow) crontab() (string, error) {
	var fields []string
	for _, column := range []struct{ name, text string }{
		{"minute", text(d.minute)},
		{"hour", text(d.hour)},
		{"day_of_month", d.dayOfMonth},
		{"month_of_year", d.monthOfYear},
		{"day_of_week", text(d.dayOfWeek)},
	} {
		parts := strings.Split(column.text, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		field := strings.Join(parts, ",")
		switch {
		case field == "":
			return "", fmt.Errorf("the crontab's %s is empty: write * for every one", column.name)
		case strings.ContainsAny(field, " \t\r\n\v\f"):
			return "", fmt.Errorf("the crontab's %s %.40q has a blank within: part values with commas", column.name, column.text)
		case strings.HasPrefix(field, "@") || strings.Contains(field, "="):
			return "", fmt.Errorf("the crontab's %s %.40q is nothing that Celery knows", column.name, column.text)
		}
		fields = append(fields, field)
	}
	return strings.Join(fields, " "), nil
}

// options are those of apply_async as django-celery-beat gives them. The header
// periodic_task_name is in each message anyway.
func (d *taskRow) options() (string, error) {
	if err := isJSON("headers", d.headers, '{', `an object such as {"a": 1}`); err != nil {
		return "", err
	}
	if d.priority != nil && (*d.priority < 0 || *d.priority > math.MaxUint8) {
		return "", fmt.Errorf("priority is %d: use 0 to 255, or none", *d.priority)
	}
	options := struct {
		Queue      string          `json:"queue,omitempty"`
		Exchange   string          `json:"exchange,omitempty"`
		RoutingKey string          `json:"routing_key,omitempty"`
		Priority   *int64          `json:"priority,omitempty"`
		Expires    any             `json:"expires,omitempty"`
		Headers    json.RawMessage `json:"headers,omitempty"`
	}{
		Queue: d.queue, Exchange: d.exchange, RoutingKey: d.routingKey, Priority: d.priority,
	}
	if headers := strings.TrimSpace(d.headers); headers != "" && headers != "{}" {
		options.Headers = json.RawMessage(headers)
	}
	switch {
	case d.expireSeconds != nil && *d.expireSeconds < 0:
		return "", fmt.Errorf("expire_seconds is %d, so that each message expires at once: use 1 or more, or none", *d.expireSeconds)
	case d.expireSeconds != nil && *d.expireSeconds != 0: // 0 is none to both packages
		options.Expires = *d.expireSeconds
	case !d.expires.IsZero():
		options.Expires = d.expires.Format("2006-01-02T15:04:05.999999-07:00")
	}
	made, err := json.Marshal(options)
	if err != nil {
		return "", errors.New("the options can't be written as JSON: check the headers")
	}
	return string(made), nil
}
