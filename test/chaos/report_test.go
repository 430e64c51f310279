package chaos

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A report tells of a run.
type report struct {
	database, broker string
	story            *story
	verdict          *verdict
	edits            *editor
	audit            string
}

// tell prints the report, and writes it with the whole history where that is asked for.
func (r *report) tell(t *testing.T) {
	t.Helper()
	text := r.text()
	t.Log("\n" + text)
	if reports == "" {
		return
	}
	if err := os.MkdirAll(reports, 0o755); err != nil {
		t.Error(err)
		return
	}
	happened := history(r.story.spans)
	for _, f := range r.verdict.wrong {
		happened += "\n" + f.text
	}
	name := strings.ToLower(fmt.Sprintf("%s-%s-%d.md", r.database, r.broker, seed))
	if err := os.WriteFile(filepath.Join(reports, name), []byte(text+"\n```\n"+strings.TrimSpace(happened)+"\n```\n"), 0o644); err != nil {
		t.Error(err)
	}
}

// history tells what went wrong when.
func history(spans []span) string {
	var out strings.Builder
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	for _, w := range spans {
		if w.text == "" { // it needs what is not there
			continue
		}
		fmt.Fprintf(&out, "%s to %s  %s\n", w.from.UTC().Format(clock), w.until.UTC().Format(clock), w.text)
	}
	return out.String()
}

func (r *report) text() string {
	v, s := r.verdict, r.story
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("%s and %s, %d shards, seed %d, %v of faults", r.database, r.broker, shards(r.broker), seed, lasting)
	if former != "" {
		line("the old version of the command is commit %s", former)
	}
	line("")
	line("| what | slots |\n|---|---|")
	edits := 0
	for _, e := range s.entries {
		edits += len(e.edits) - 1
	}
	for _, row := range []struct {
		what string
		n    int
	}{
		{"expected by the specs", v.expected},
		{"ran", v.ran},
		{"ended unsent by their misfire policy (once, skip)", v.policy},
		{"recorded as unsure (at most once)", v.unsure},
		{"repeated with the same id", v.repeated},
		{"**missing**", v.missing},
		{"**extra**", v.extra},
		{"**early**", v.early},
		{"**not as the ledger says**", v.untrue},
	} {
		line("| %s | %d |", row.what, row.n)
	}
	line("")
	line("%d entries, %d edits (%d statements without an answer), in effect after %v at the median and %v at most; %d slots of edited entries were not sent any more when an edit was seen.",
		len(s.entries), edits, r.edits.failed, quantile(v.effective, 0.5), quantile(v.effective, 1), v.unsent)
	line("")
	line("| late by less than | messages | and less |\n|---|---|---|")
	below := 0
	for _, bound := range []time.Duration{
		5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
		500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Hour,
	} {
		n, _ := slices.BinarySearch(v.late, bound)
		if n > below || bound == time.Hour && n == 0 {
			line("| %v | %d | %.2f %% |", bound, n-below, 100*float64(n)/float64(max(len(v.late), 1)))
		}
		below = n
	}
	line("")
	line("Half of all were late by less than %v, 99 %% by less than %v, all by less than %v.", quantile(v.late, 0.5), quantile(v.late, 0.99), quantile(v.late, 1))
	line("")
	line("| what went wrong | times | seconds | worst lateness meanwhile, at the median |\n|---|---|---|---|")
	kinds := map[string][]span{}
	for _, w := range s.spans {
		kinds[w.kind] = append(kinds[w.kind], w)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		var lasted time.Duration
		var worst []time.Duration
		for _, w := range kinds[kind] {
			lasted += w.until.Sub(w.from)
			worst = append(worst, v.worst(w))
		}
		slices.Sort(worst)
		line("| %s | %d | %.0f | %v |", kind, len(kinds[kind]), lasted.Seconds(), quantile(worst, 0.5))
	}
	line("")
	head, _, _ := strings.Cut(r.audit, "\n\n")
	line("`onebeat audit` says:\n\n```\n%s\n```", strings.TrimSpace(head))
	return out.String()
}

// worst is the greatest lateness of slots while something was wrong. Most times
// something else was too.
func (v *verdict) worst(w span) (worst time.Duration) {
	for slot := w.from.Unix(); slot <= w.until.Unix()+1; slot++ {
		worst = max(worst, v.latest[slot])
	}
	return worst
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(time.Millisecond)
}
