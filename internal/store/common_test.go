package store

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"testing"
	"time"
)

// Digests are in databases: they are FNV-1a of a number's eight bytes, and of a text's length and bytes.
func TestDigestsStayAsTheyAre(t *testing.T) {
	want := func(texts ...any) uint64 {
		sum := fnv.New64a()
		for _, one := range texts {
			switch one := one.(type) {
			case uint64:
				_ = binary.Write(sum, binary.LittleEndian, one)
			case string:
				_ = binary.Write(sum, binary.LittleEndian, uint64(len(one)))
				_, _ = sum.Write([]byte(one))
			}
		}
		return sum.Sum64()
	}
	for _, n := range []uint64{0, 1, 0xff, 0x100, 0xff00, 0x10000, 1 << 40, 0x0100_0000_0000_0001, 1<<63 - 1, 1<<64 - 1} {
		if got := empty.number(7).number(n).number(n); uint64(got) != want(uint64(7), n, n) {
			t.Errorf("the digest of %#x is %#x, want %#x", n, uint64(got), want(uint64(7), n, n))
		}
	}
	if got := empty.text("").text("a\x00é").number(3); uint64(got) != want("", "a\x00é", uint64(3)) {
		t.Errorf("the digest of texts is %#x, want %#x", uint64(got), want("", "a\x00é", uint64(3)))
	}
}

// A spec that rows have in common says of each of them what it says of a row that is read alone.
func TestSpecsThatRowsHaveInCommonAreTheRowsOwn(t *testing.T) {
	var options Options
	var known commons
	shared := 0
	for _, text := range []string{
		"0 9 * * 1-5", "CRON_TZ=Asia/Tokyo 0 9 * * *", "DST=celery 30 2 * * *", "@every 90s from 2026-11-24T00:00:00Z", "@every 1d wall from 2026-11-24T09:00:00",
		"@every 90s", "CRON_TZ=Asia/Tokyo @every 90s", "@every 1d wall", "@standard H H * * *", "@rrule FREQ=DAILY", "@at 2026-11-24T09:00:00", "0 9 31 2 *", "no spec",
	} {
		for _, zone := range []string{"", "Europe/Berlin", "Nowhere/AtAll"} {
			for i, rules := range []string{"", "", "{}", `{"weekend": "sat,sun"}`, ""} {
				alone := row{
					id: fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), task: "t", spec: text, zone: zone, rules: rules, policy: "once",
					createdAt: time.Date(2026, 11, 1, 0, 0, 7*i, 0, time.UTC), oneOff: i == 4,
				}
				in := alone
				in.common = known.of(&in, zone)
				if in.common != nil {
					shared++
				}
				if got, want := said(&in, &options), said(&alone, &options); got != want {
					t.Errorf("%q in %q of row %d: %s\nwant %s", text, zone, i, got, want)
				}
			}
		}
	}
	const specs = 5*2 + 1                               // five in each of the zones that there are; one of them names its own, and needs no other
	if len(known.known) != specs || shared != specs*3 { // rows without rules that are not one-off
		t.Errorf("%d rows have %d specs in common, want three for each of %d", shared, len(known.known), specs)
	}
}

// Entries of each minute of a week, in turn, are read once each.
func TestSpecsOfAWeekAreReadOnce(t *testing.T) {
	const week = 7 * 24 * 60
	var known commons
	first := make([]*common, week)
	for range 2 {
		for minute := range week {
			r := row{spec: fmt.Sprintf("%d %d * * %d", minute%60, minute/60%24, minute/(24*60)), zone: "UTC"}
			one := known.of(&r, r.zone)
			if first[minute] == nil {
				first[minute] = one
			}
			if one == nil || one != first[minute] {
				t.Fatalf("%q was read again", r.spec)
			}
		}
	}
}

// said is what a row's spec says.
func said(r *row, options *Options) string {
	entry, err := r.entry(options)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(entry.Spec, " ", entry.Spec.Next(r.createdAt), " ", entry.Digest, r.fingerprint(r.zone))
}
