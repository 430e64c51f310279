package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == profiled {
		exit(runProfiled(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verb, args := "", os.Args[1:]
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "herd":
		exit(herds(ctx, args))
	case "idle":
		exit(idles(ctx, args))
	}
	exit(errors.New("say `bench herd` or `bench idle`; with -help they tell of their flags"))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A Report is all that was measured, for --json.
type Report struct {
	Machine machine `json:"machine"`
	Herds   []Herd  `json:"herds,omitempty"`
	Idles   []Idle  `json:"idle,omitempty"`
}

// settings are the flags that both verbs have.
func settings(set *flag.FlagSet) (b *bench, asJSON *bool) {
	b = new(bench)
	set.StringVar(&b.onebeat, "onebeat", "bin/onebeat", "the onebeat command")
	set.StringVar(&b.profile, "profile", "", "a folder for pprof profiles of the last node")
	return b, set.Bool("json", false, "print JSON")
}

const beatLine = "beat"

func herds(ctx context.Context, args []string) (err error) {
	set := flag.NewFlagSet("bench herd", flag.ExitOnError)
	b, asJSON := settings(set)
	numbers := set.String("entries", "1000,10000,100000", "how many entries are due together, with commas")
	lines := set.String("lines", "postgres+redis,sqlite+redis,postgres+rabbitmq,beat", "what is measured, with commas")
	window := set.Duration("window", 20*time.Second, "the longest that beat is watched from its first message")
	_ = set.Parse(args) // it exits
	names := strings.Split(*lines, ",")
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(ctx, names); err != nil {
		return err
	}
	report := Report{Machine: thisMachine(ctx, b)}
	var faults []error
	for number := range strings.SplitSeq(*numbers, ",") {
		entries, err := strconv.Atoi(number)
		if err != nil || entries < 1 {
			return fmt.Errorf("-entries %s: give numbers, such as 1000,10000", *numbers)
		}
		var group []Herd
		for _, name := range names {
			fmt.Fprintf(os.Stderr, "bench: %d entries, %s\n", entries, name)
			var h Herd
			if name == beatLine {
				h, err = b.beat(ctx, entries, *window)
			} else {
				h, err = b.named(ctx, name, entries)
			}
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
	return errors.Join(append(faults, finish(report, *asJSON))...)
}

// herdWindow bounds a herd of onebeat.
const herdWindow = time.Minute

func (b *bench) named(ctx context.Context, name string, entries int) (Herd, error) {
	l, err := parseLine(name)
	if err != nil {
		return Herd{}, err
	}
	return b.herd(ctx, l, entries, herdWindow)
}

func parseLine(name string) (line, error) {
	database, broker, _ := strings.Cut(name, "+")
	if !slices.Contains([]string{"postgres", "sqlite"}, database) || !slices.Contains([]string{"redis", "rabbitmq"}, broker) {
		return line{}, fmt.Errorf("%q is none of postgres+redis, postgres+rabbitmq, sqlite+redis, sqlite+rabbitmq, %s", name, beatLine)
	}
	return line{database, broker}, nil
}

func idles(ctx context.Context, args []string) (err error) {
	set := flag.NewFlagSet("bench idle", flag.ExitOnError)
	b, asJSON := settings(set)
	length := set.Duration("for", 5*time.Minute, "how long to watch")
	dense := set.Bool("dense", false, "entries of every second instead of every minute")
	name := set.String("line", "postgres+redis", "what is measured")
	_ = set.Parse(args) // it exits
	l, err := parseLine(*name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(ctx, []string{*name}); err != nil {
		return err
	}
	report := Report{Machine: thisMachine(ctx, b)}
	found, err := b.idle(ctx, l, *length, *dense)
	if err != nil {
		return err
	}
	report.Idles = append(report.Idles, found)
	if !*asJSON {
		printIdle(os.Stdout, found)
	}
	return finish(report, *asJSON)
}

func finish(report Report, asJSON bool) error {
	if !asJSON {
		fmt.Println(report.Machine)
		return nil
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
