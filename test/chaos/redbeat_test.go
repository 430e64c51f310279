package chaos

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
)

// How many entries RedBeat has: on these machines it sends some three hundred messages a
// second at best, and is to keep up while all is well.
const (
	redbeatSeconds = 20
	redbeatMinutes = 60
)

// BenchmarkRedBeat puts two nodes of RedBeat through the same troubles, but for those of
// a database and of clocks, and counts what came. Its messages name no slot, so that
// each is taken for the slot of the minute that it came in; entries of each second are
// counted alone.
//
// A node that ends by itself is started again at once, as a supervisor would.
func BenchmarkRedBeat(b *testing.B) {
	for _, loop := range []struct {
		name string
		args []string
		calm bool // nothing goes wrong
	}{
		{"all is well", nil, true},
		{"as it comes", nil, false},
		{"max-interval of 5s", []string{"--max-interval", "5"}, false}, // its lock then ends after 25 s
	} {
		b.Run(loop.name, func(b *testing.B) {
			for range b.N {
				benchRedBeat(b, loop.name, loop.args, loop.calm)
			}
		})
	}
}

func benchRedBeat(b *testing.B, name string, args []string, calm bool) {
	root, err := harness.Root()
	if err != nil {
		b.Fatal(err)
	}
	python := filepath.Join(root, ".cache", "venv-celery-redbeat", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		b.Fatalf("run `scripts/venv redbeat` first: %v", err)
	}
	server := startBroker(b, redis)
	var nodes []*node
	for _, place := range []string{"a", "b"} {
		n := newNode(b, place, nil, server, present)
		n.command = func() (process.Command, error) {
			return process.Command{
				Path: python, Log: n.log(), Dir: filepath.Join(root, "test", "python"),
				Args: append([]string{"-m", "celery", "-A", "redbeat_chaos", "beat", "-S", "redbeat.RedBeatScheduler", "-l", "WARNING", "--pidfile", ""}, args...),
				Env: []string{
					"CHAOS_BROKER=" + n.urls[1], "CHAOS_QUEUE=" + volume, "PYTHONDONTWRITEBYTECODE=1",
					fmt.Sprint("CHAOS_SECONDS=", redbeatSeconds), fmt.Sprint("CHAOS_MINUTES=", redbeatMinutes),
				},
			}, nil
		}
		nodes = append(nodes, n)
	}
	consuming, stop := context.WithCancel(b.Context())
	taken := &consumer{read: readNamed}
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { taken.run(consuming, redis, server.URL()) })
	for _, n := range nodes {
		if err := n.start(); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now().Truncate(time.Minute).Add(time.Minute)
	waitUntil(began) // the first whole minute
	nemesis := &nemesis{t: b, chance: rand.New(rand.NewPCG(seed, 0)), pace: steady, nodes: nodes, broker: server}
	if calm {
		waitUntil(began.Add(lasting))
	} else {
		nemesis.run(lasting)
	}
	until := time.Now().Truncate(time.Minute).Add(time.Minute)
	waitUntil(until.Add(quiet))
	arrivals, err := taken.all()
	if err != nil {
		b.Fatal(err)
	}
	spans, wrong := nemesis.past()
	text := fmt.Sprintf("RedBeat, %s, two nodes, seed %d, %v, %d troubles\n\n", name, seed, lasting, len(spans)) + tellRedBeat(arrivals, began, until)
	text += fmt.Sprintf("\nNodes ended by themselves or would not stop %d times.\n", len(wrong))
	b.Log("\n" + text)
	for i, line := range wrong {
		if i < 3 {
			b.Log(line[:min(len(line), 600)])
		}
	}
	if reports != "" {
		file := filepath.Join(reports, fmt.Sprintf("redbeat-%s-%d.md", strings.ReplaceAll(name, " ", "-"), seed))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Error(err)
		}
	}
}

func waitUntil(instant time.Time) { <-time.After(time.Until(instant)) }

// readNamed reads a message whose task's only argument is its entry's name.
func readNamed(text string, at time.Time) (arrival, error) {
	var envelope struct {
		Body    string
		Headers headers
	}
	if err := json.Unmarshal([]byte(text), &envelope); err != nil {
		return arrival{}, err
	}
	body, err := base64.StdEncoding.DecodeString(envelope.Body)
	if err != nil {
		return arrival{}, err
	}
	var parts []json.RawMessage
	var args []string
	if err := json.Unmarshal(body, &parts); err != nil || len(parts) != 3 || json.Unmarshal(parts[0], &args) != nil || len(args) != 1 {
		return arrival{}, fmt.Errorf("the body of a message is %s", body)
	}
	return arrival{entry: args[0], id: envelope.Headers.ID, at: at}, nil
}

// tellRedBeat counts what came after one instant up to another.
func tellRedBeat(arrivals []arrival, from, until time.Time) string {
	byEntry := map[string][]time.Time{}
	for _, a := range arrivals {
		if !a.at.Before(from) && a.at.Before(until) {
			byEntry[a.entry] = append(byEntry[a.entry], a.at)
		}
	}
	var minutes, missing, doubled, extra int
	var late []time.Duration
	for i := range redbeatMinutes {
		came := map[int64][]time.Time{}
		for _, at := range byEntry[fmt.Sprintf("each minute %03d", i)] {
			came[at.Unix()/60] = append(came[at.Unix()/60], at)
		}
		for minute := from; minute.Before(until); minute = minute.Add(time.Minute) {
			minutes++
			switch ats := came[minute.Unix()/60]; {
			case len(ats) == 0:
				missing++
			default:
				late = append(late, ats[0].Sub(minute))
				if len(ats) > 1 {
					doubled++
					extra += len(ats) - 1
				}
			}
		}
	}
	slices.Sort(late)
	var seconds, ran, twice int
	var silence time.Duration
	for i := range redbeatSeconds {
		ats := byEntry[fmt.Sprintf("each second %03d", i)]
		seconds += int(until.Sub(from) / time.Second)
		ran += len(ats)
		last := from
		for k, at := range append(ats, until) {
			gap := at.Sub(last)
			silence = max(silence, gap)
			if k > 0 && k < len(ats) && gap < 500*time.Millisecond {
				twice++
			}
			last = at
		}
	}
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("| what | entries of each minute | entries of each second |\n|---|---|---|")
	line("| expected | %d | %d |", minutes, seconds)
	line("| ran | %d | %d |", minutes-missing+extra, ran)
	line("| **missing** | %d (%.1f %%) | %d (%.1f %%) |", missing, 100*float64(missing)/float64(minutes), seconds-ran, 100*float64(seconds-ran)/float64(seconds))
	line("| **more than once** | %d, %d messages too many | %d came within half a second of the one before |", doubled, extra, twice)
	line("| late: half, 99 %%, worst of what came within its minute | %v, %v, %v | |", quantile(late, 0.5), quantile(late, 0.99), quantile(late, 1))
	line("| longest time without a message of an entry | | %v |", silence.Round(100*time.Millisecond))
	return out.String()
}

// Counting finds what is missing and what came twice.
func TestRedBeatsMessagesAreCounted(t *testing.T) {
	from := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var arrivals []arrival
	for i := range redbeatMinutes {
		for minute := range 3 {
			arrivals = append(arrivals, arrival{entry: fmt.Sprintf("each minute %03d", i), at: from.Add(time.Duration(minute)*time.Minute + time.Second)})
		}
	}
	arrivals = slices.Delete(arrivals, 7, 9) // two minutes of an entry
	again := arrivals[20]
	again.at = again.at.Add(30 * time.Second)
	arrivals = append(arrivals, again)
	for i := range redbeatSeconds {
		for second := range 180 {
			if i == 3 && second >= 60 && second < 70 {
				continue
			}
			arrivals = append(arrivals, arrival{entry: fmt.Sprintf("each second %03d", i), at: from.Add(time.Duration(second) * time.Second)})
		}
	}
	got := tellRedBeat(arrivals, from, from.Add(3*time.Minute))
	for _, want := range []string{
		"| expected | 180 | 3600 |", "| ran | 179 | 3590 |", "| **missing** | 2 (1.1 %) | 10 (0.3 %) |",
		"| **more than once** | 1, 1 messages too many | 0 came", "| longest time without a message of an entry | | 11s |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it says\n%s\nwant %s in it", got, want)
		}
	}
}
