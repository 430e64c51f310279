package schedule

import (
	"strings"
	"time"
)

// The scopes of windows.
const (
	ScopeAll   = "all"
	ScopeGroup = "group" // the entries whose rules name the group
	ScopeEntry = "entry" // the one entry of an ID
)

// ReasonWindow begins the reason that slots within a window are skipped for; the
// window's name and its own reason follow.
const ReasonWindow = "window "

// A Window is a time in which slots are skipped, for maintenance say: from each slot of
// a spec on, for a length, without its end.
type Window struct {
	Name   string
	Scope  string // ScopeAll, ScopeGroup or ScopeEntry
	Target string // the group's name, or the entry's ID
	Spec   Spec
	Length time.Duration
	Reason string // in a person's words
}

// until returns when the window that holds t ends, or the zero Time if it does not.
func (w *Window) until(t time.Time) time.Time {
	begin := w.Spec.Next(t.Add(-w.Length))
	if begin.IsZero() || begin.After(t) {
		return time.Time{}
	}
	return begin.Add(w.Length)
}

// Windows are all windows by whom they concern. They do not change: an edit makes new
// ones. Nil are none.
type Windows struct {
	all    []*Window
	groups map[string][]*Window
	ids    map[ID][]*Window
}

// NewWindows returns the windows, in their order where several hold a slot.
func NewWindows(windows []Window) *Windows {
	w := &Windows{groups: map[string][]*Window{}, ids: map[ID][]*Window{}}
	for i := range windows {
		window := &windows[i]
		switch window.Scope {
		case ScopeAll:
			w.all = append(w.all, window)
		case ScopeGroup:
			w.groups[window.Target] = append(w.groups[window.Target], window)
		case ScopeEntry:
			w.ids[ID(window.Target)] = append(w.ids[ID(window.Target)], window)
		}
	}
	return w
}

// GroupOf returns the group that the rules around a spec name, or "".
func GroupOf(spec Spec) string {
	if ruled, ok := spec.(*Ruled); ok {
		return ruled.group
	}
	return ""
}

// each calls yield for the windows of an entry until it returns false.
func (w *Windows) each(id ID, spec Spec, yield func(*Window) bool) {
	if w == nil {
		return
	}
	lists := [3][]*Window{w.all, nil, w.ids[id]}
	if len(w.groups) > 0 {
		lists[1] = w.groups[GroupOf(spec)]
	}
	for _, list := range lists {
		for _, window := range list {
			if !yield(window) {
				return
			}
		}
	}
}

// Closed returns the reason that a slot of the entry is skipped for, and until when it
// holds at least; "" if no window holds the slot.
func (w *Windows) Closed(e *Entry, slot time.Time) (reason string, until time.Time) {
	window, until := w.holder(e, slot)
	if window != nil {
		reason = ReasonWindow + window.Name + ": " + window.Reason
	}
	return reason, until
}

// holder returns the window that holds a slot of the entry, and until when; nil if none does.
func (w *Windows) holder(e *Entry, slot time.Time) (holder *Window, until time.Time) {
	w.each(e.ID, e.Spec, func(window *Window) bool {
		if until = window.until(slot); !until.IsZero() {
			holder = window
		}
		return holder == nil
	})
	return holder, until
}

// Begins returns when the next window of the entry begins after t, or the zero Time.
func (w *Windows) Begins(e *Entry, t time.Time) (first time.Time) {
	w.each(e.ID, e.Spec, func(window *Window) bool {
		if begin := window.Spec.Next(t); first.IsZero() || !begin.IsZero() && begin.Before(first) {
			first = begin
		}
		return true
	})
	return first
}

// mostWindows bounds how many windows in a row a slot is looked for behind.
const mostWindows = 10_000

// Next returns the entry's first slot after t that no window holds, or the zero Time.
func (w *Windows) Next(e *Entry, t time.Time) time.Time {
	slot := e.Spec.Next(t)
	for range mostWindows {
		if slot.IsZero() {
			return slot
		}
		_, until := w.Closed(e, slot)
		if until.IsZero() {
			return slot
		}
		slot = e.Spec.Next(until.Add(-time.Microsecond))
	}
	return time.Time{}
}

// Outside returns the spec of the entry's slots that no window holds.
func (w *Windows) Outside(e *Entry) Spec {
	var names []string
	w.each(e.ID, e.Spec, func(window *Window) bool {
		names = append(names, window.Name)
		return true
	})
	if len(names) == 0 {
		return e.Spec
	}
	return outside{w, e, strings.Join(names, " ")}
}

// An outside is the slots of an entry's spec outside of windows.
type outside struct {
	windows *Windows
	entry   *Entry
	names   string
}

// Next implements Spec.
func (o outside) Next(t time.Time) time.Time { return o.windows.Next(o.entry, t) }

// Whole returns, of a spec that Outside returned, that of all slots, and which window
// holds one of them, "" for none. Any other spec is its own whole.
func Whole(spec Spec) (whole Spec, holder func(slot time.Time) string) {
	o, ok := spec.(outside)
	if !ok {
		return spec, func(time.Time) string { return "" }
	}
	return o.entry.Spec, func(slot time.Time) string {
		if window, _ := o.windows.holder(o.entry, slot); window != nil {
			return window.Name
		}
		return ""
	}
}

// String implements Spec, in no form that can be read.
func (o outside) String() string { return o.entry.Spec.String() + " outside of " + o.names }
