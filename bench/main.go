package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/measure"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == profiled {
		exit(runProfiled(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A Herd is what was measured of a scheduler whose entries were all due at one
// instant. First is from the slot. Of another's than onebeat, all is by the length
// of the queue, and the rest counts from the first message if that came more than
// a second after the slot.
type Herd struct {
	Scheduler string `json:"scheduler"`
	measure.Burst

	// Sent is how many messages had come when it was over: less than Entries where
	// the time that was given to it had passed.
	Sent int `json:"sent"`

	Load *measure.Load `json:"load,omitempty"` // of onebeat
}

// A Report is all that was measured.
type Report struct {
	Machine measure.Machine `json:"machine"`
	Servers string          `json:"servers"`
	Herds   []Herd          `json:"herds,omitempty"`

	Steadies []Steady `json:"steady,omitempty"`
}

func run(ctx context.Context) (err error) {
	b := new(bench)
	flag.StringVar(&b.onebeat, "onebeat", "bin/onebeat", "the onebeat command")
	flag.StringVar(&b.profile, "profile", "", "a folder for pprof profiles of onebeat, the last line's")
	numbers := flag.String("entries", "1000,10000", "how many entries are due together, with commas")
	lines := flag.String("lines", "postgres+redis,sqlite+redis,postgres+rabbitmq,beat,django,redbeat", "what is measured, with commas")
	rates := flag.String("steady", "", "measure so many slots a second, with commas, of onebeat's lines instead")
	length := flag.Duration("for", 60*time.Second, "how long a steady rate is measured")
	window := flag.Duration("window", 20*time.Second, "the longest that other schedulers are watched from their first message")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	names := strings.Split(*lines, ",")
	for _, name := range names {
		if _, _, err := parseLine(name); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(ctx, names); err != nil {
		return err
	}
	report := Report{Machine: measure.ThisMachine(), Servers: b.versions(ctx)}
	if *rates != "" {
		report.Steadies, err = b.steadies(ctx, names, *rates, *length)
		return errors.Join(err, report.print(*asJSON))
	}
	var faults []error
	for number := range strings.SplitSeq(*numbers, ",") {
		entries, err := strconv.Atoi(number)
		if err != nil || entries < 1 {
			return fmt.Errorf("-entries %s: give numbers, such as 1000,10000", *numbers)
		}
		var group []Herd
		for _, name := range names {
			fmt.Fprintf(os.Stderr, "bench: %d entries, %s\n", entries, name)
			h, err := b.named(ctx, name, entries, *window)
			if err != nil {
				faults = append(faults, fmt.Errorf("%d entries, %s: %w", entries, name, err))
				continue
			}
			group = append(group, h)
		}
		if !*asJSON && len(group) > 0 {
			printHerds(os.Stdout, group)
		}
		report.Herds = append(report.Herds, group...)
	}
	return errors.Join(append(faults, report.print(*asJSON))...)
}

// print ends what was printed as it was measured, or prints all as JSON.
func (r *Report) print(asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	printSteadies(os.Stdout, r.Steadies)
	printGrowth(os.Stdout, r.Herds)
	_, err := fmt.Printf("%s; %s\n", r.Machine, r.Servers)
	return err
}

// The halves of onebeat's lines.
var (
	databases = map[string]string{"postgres": "PostgreSQL", "sqlite": "SQLite"}
	brokers   = map[string]string{"redis": "Redis", "rabbitmq": "RabbitMQ"}
)

// parseLine returns the halves of a line of onebeat's, empty for another.
func parseLine(name string) (database, broker string, err error) {
	if _, ok := beats[name]; ok {
		return "", "", nil
	}
	database, broker, _ = strings.Cut(name, "+")
	if databases[database] == "" || brokers[broker] == "" {
		others := slices.Sorted(maps.Keys(beats))
		return "", "", fmt.Errorf("-lines: %q is none of postgres+redis, postgres+rabbitmq, sqlite+redis, sqlite+rabbitmq, %s", name, strings.Join(others, ", "))
	}
	return database, broker, nil
}

// named measures what a line names.
func (b *bench) named(ctx context.Context, name string, entries int, window time.Duration) (Herd, error) {
	if kind, ok := beats[name]; ok {
		return b.beat(ctx, kind, entries, window)
	}
	database, broker, err := parseLine(name)
	if err != nil {
		return Herd{}, err
	}
	m, err := b.measure(database, broker)
	if err != nil {
		return Herd{}, err
	}
	h := Herd{Scheduler: fmt.Sprintf("onebeat, %s + %s", databases[database], brokers[broker]), Sent: entries}
	if h.Burst, err = m.Burst(ctx, entries, 0); err != nil {
		return h, err
	}
	m.Serve = []string{b.onebeat, "serve"} // unprofiled
	load, err := m.Load(ctx, entries)
	h.Load = &load
	return h, err
}

// measure is what measures onebeat on a database and a broker.
func (b *bench) measure(database, broker string) (*measure.Bench, error) {
	urls := map[string]string{"postgres": b.postgres, "sqlite": "sqlite:///" + b.dir + "/bench.db", "redis": b.redis, "rabbitmq": b.rabbitmq}
	config, err := app.Load(map[string]string{"database": urls[database], "broker": urls[broker]}, func(string) string { return "" }, nil)
	if err != nil {
		return nil, err
	}
	m := &measure.Bench{Config: config, Serve: []string{b.onebeat, "serve"}}
	if b.profile != "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		m.Serve = []string{self, profiled, b.profile}
		m.Soon = func(pid int) { _ = syscall.Kill(pid, syscall.SIGUSR1) }
	}
	return m, nil
}
