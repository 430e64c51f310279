package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Window is a time in which slots are skipped, as a person wrote it.
type Window struct {
	Name   string        `json:"name"`
	Scope  string        `json:"scope"`            // schedule.ScopeAll and its like
	Target string        `json:"target,omitempty"` // the group's name, or the entry's id
	Spec   string        `json:"spec"`             // when it begins, each time
	Zone   string        `json:"zone,omitempty"`   // of the spec, unless it names one
	Length time.Duration `json:"-"`                // whole seconds
	Reason string        `json:"reason"`
	By     string        `json:"by,omitempty"`

	Problem string `json:"problem,omitempty"` // why it can't be used: it holds nothing
}

// ErrNoWindow says that no window has the name.
var ErrNoWindow = errors.New("no window has this name: see `onebeat windows list`")

// Windows returns all windows by name, and those of them that can be used.
func (s *Store) Windows(ctx context.Context) ([]Window, *schedule.Windows, error) {
	var all []Window
	var usable []schedule.Window
	err := s.db.each(ctx, "windows", func(row scanner) error {
		var w Window
		var seconds int64
		if err := row.Scan(&w.Name, &w.Scope, &w.Target, &w.Spec, &w.Zone, &seconds, &w.Reason, &w.By); err != nil {
			return err
		}
		made, err := schedule.Window{}, error(nil)
		if w.Length = time.Duration(seconds) * time.Second; seconds <= 0 || seconds > maxSeconds {
			err = errors.New("its seconds are out of range: write how long it lasts")
		} else {
			made, err = w.made(s.options.Zone)
		}
		if err != nil {
			w.Problem = err.Error()
		} else {
			usable = append(usable, made)
		}
		all = append(all, w)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read windows: %w", err)
	}
	return all, schedule.NewWindows(usable), nil
}

// longestWindow bounds how long a window may be.
const longestWindow = 366 * 24 * time.Hour

// made is the window as slots are held against it. An error says what is wrong with it
// and what to do.
func (w Window) made(zone string) (schedule.Window, error) {
	made := schedule.Window{Name: w.Name, Scope: w.Scope, Target: w.Target, Length: w.Length, Reason: w.Reason}
	if w.Zone != "" {
		zone = w.Zone
	}
	switch {
	case w.Name == "" || len(w.Name) > 190 || strings.TrimSpace(w.Name) != w.Name:
		return made, errors.New("a window needs a name of at most 190 bytes, without blanks around it")
	case w.Scope != schedule.ScopeAll && w.Scope != schedule.ScopeGroup && w.Scope != schedule.ScopeEntry:
		return made, fmt.Errorf("its scope is %q: write all, group or entry", w.Scope)
	case (w.Scope == schedule.ScopeAll) != (w.Target == ""):
		return made, errors.New("a window for all has no target, others name the group or the entry's id")
	case w.Length < time.Second || w.Length > longestWindow || w.Length%time.Second != 0:
		return made, fmt.Errorf("it lasts %v: write whole seconds up to 366 days", w.Length)
	}
	spec, err := schedule.Reading{Zone: zone, Key: w.Name}.Parse(w.Spec)
	made.Spec = spec
	return made, err
}

// CheckWindow says why AddWindow would refuse the window, as an *InputError.
func (s *Store) CheckWindow(ctx context.Context, w Window) error {
	if _, err := w.made(s.options.Zone); err != nil {
		return &InputError{err.Error()}
	}
	all, _, err := s.Windows(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Name == w.Name {
			return &InputError{fmt.Sprintf("there is a window %q already: remove it first, or choose another name", w.Name)}
		}
	}
	return nil
}

// AddWindow stores a new window. What can't be used is an *InputError.
func (s *Store) AddWindow(ctx context.Context, w Window) error {
	if err := s.CheckWindow(ctx, w); err != nil {
		return err
	}
	return s.write(ctx, "add window", "", "window_insert", nil, w.Name, w.Scope, w.Target, w.Spec, w.Zone, int64(w.Length/time.Second), w.Reason, w.By)
}

// RemoveWindow deletes the window of the name, or returns ErrNoWindow.
func (s *Store) RemoveWindow(ctx context.Context, name string) error {
	return s.write(ctx, "remove window", "", "window_delete", ErrNoWindow, name)
}

// lookAtWindows reads the windows, and tells those who lead if they are others now.
func (w *watch) lookAtWindows(ctx context.Context) error {
	all, usable, err := w.store.Windows(ctx)
	if err != nil {
		return err
	}
	sum := empty
	for _, window := range all {
		sum = sum.text(window.Name).text(window.Scope).text(window.Target).text(window.Spec).text(window.Zone).number(uint64(window.Length)).text(window.Reason)
	}
	if w.windows == nil && len(all) == 0 || w.windowsPrint == sum {
		return nil
	}
	w.windows, w.windowsPrint = usable, sum
	for _, window := range all {
		if window.Problem != "" {
			w.store.log.ErrorContext(ctx, "window set aside: it cannot be used", "window", window.Name, "err", window.Problem)
		}
	}
	w.tellWindows()
	return nil
}

// tellWindows tells those who lead of the windows, if they were not told of these.
func (w *watch) tellWindows() {
	for shard := range w.shards {
		l := w.leadOn(shard)
		if l == nil || l.windows == w.windows {
			continue
		}
		l.windows = w.windows
		l.call(func(ctx context.Context) error { return l.watcher.Apply(ctx, []schedule.Change{{Windows: w.windows}}) })
	}
}
