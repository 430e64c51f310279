package schedule_test

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// instant reads an RFC 3339 time of a test.
func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// parse reads a spec of a test.
func parse(t testing.TB, text, zone string) schedule.Spec {
	t.Helper()
	spec, err := schedule.ParseSpec(text, zone, time.Time{})
	if err != nil {
		t.Fatalf("ParseSpec(%q, %q): %v", text, zone, err)
	}
	return spec
}

// rows returns the fields of each line of a table in testdata/slots, which are
// parted by "|". Lines that begin with # are comments.
func rows(t *testing.T, name string, fields int) [][]string {
	t.Helper()
	file, err := os.Open("testdata/slots/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all [][]string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		row := strings.Split(line, "|")
		if len(row) != fields {
			t.Fatalf("%s: %q has %d fields, want %d", name, line, len(row), fields)
		}
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		all = append(all, row)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rows", name)
	}
	return all
}

// TestNextSlots reads tables of: zone | spec | after | next, the times in RFC 3339, "-"
// for no slot. A fifth field is what Celery gives instead.
func TestNextSlots(t *testing.T) {
	for name, fields := range map[string]int{"celery.txt": 4, "differences.txt": 5, "clocks.txt": 4, "standard.txt": 4, "rrule.txt": 4, "other.txt": 4} {
		for _, row := range rows(t, name, fields) {
			zone, text, after, want := row[0], row[1], row[2], row[3]
			t.Run(name+"/"+zone+"/"+text+"/"+after, func(t *testing.T) {
				got := parse(t, text, zone).Next(instant(t, after))
				if want == "-" {
					if !got.IsZero() {
						t.Errorf("Next(%s) = %v, want none", after, got)
					}
					return
				}
				if !got.Equal(instant(t, want)) || got.Location() != time.UTC {
					t.Errorf("Next(%s) = %v, want %s in UTC", after, got, want)
				}
			})
		}
	}
}

// With DST=celery, slots are what the tables say of Celery; but where it answers
// with a time that has gone, the slot is one that it sends when the fold is over.
func TestCeleryClocks(t *testing.T) {
	for _, row := range append(rows(t, "differences.txt", 5), rows(t, "celery.txt", 4)...) {
		zone, text, after, want := row[0], row[1], row[2], row[len(row)-1]
		got := parse(t, "DST=celery "+text, zone).Next(instant(t, after))
		if instant(t, want).Before(instant(t, after)) {
			want = "2025-11-02T02:00:00-05:00"
		}
		if !got.Equal(instant(t, want)) || got.Location() != time.UTC {
			t.Errorf("DST=celery %s in %s: Next(%s) = %v, want %s", text, zone, after, got, want)
		}
	}
}

func TestSpecThatNeverComesIsAnError(t *testing.T) {
	_, err := schedule.ParseSpec("0 0 30 2 *", "", time.Time{})
	var fault *schedule.SpecError
	if !errors.As(err, &fault) || !strings.Contains(fault.Problem, "never comes") {
		t.Errorf("ParseSpec of the 30th of February: %v, want a SpecError that says it never comes", err)
	}
}
