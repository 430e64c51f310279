package schedule_test

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/onebeat/onebeat/internal/schedule"
)

// BenchmarkNext takes a new instant each time, over forty years.
func BenchmarkNext(b *testing.B) {
	for _, bb := range []struct{ text, zone string }{
		{"* * * * *", "UTC"},
		{"0 9 * * 1-5", "Asia/Tokyo"},
		{"0 9 * * 1-5", "America/New_York"},
		{"*/15 * * * *", "Africa/Casablanca"},
		{"30 2 * * *", "Europe/Berlin"},
		{"0 0 13 * fri", "Australia/Lord_Howe"},
		{"0 0 31 * *", "Europe/Dublin"},
		{"0 0 1 1 *", "Europe/Dublin"},
		{"0 0 29 2 *", "America/New_York"},
		{"0 0 29 2 mon", "America/New_York"},
		{"DST=celery 30 2 * * *", "Europe/Berlin"},
		{"@standard 30 0 9 * * 1-5", "America/New_York"},
		{"@standard 0 9 LW * fri#2", "America/New_York"},
		{"@every 90s", "UTC"},
		{"@every 1d wall", "America/New_York"},
		{"@every 90m relative", "America/New_York"},
		{`@rules {"weekend": "sat,sun"} 0 9 * * *`, "America/New_York"},
		{`@rules {"weekend": "sat,sun", "shift": "next", "except": ["2026-12-25", "2026-12-29..2027-01-03"]} 0 9 1,15 * *`, "America/New_York"},
		{`@rules {"also": ["0 18 * * 5"], "offset": "-1h", "start": "2010-01-01", "end": "2060-01-01"} 0 9 * * 1-5`, "America/New_York"},
		{`@rules {"jitter": "30s", "splay": "10m"} 0 * * * *`, "America/New_York"},
		{"@rrule DTSTART:20100101T090000 FREQ=MONTHLY;BYDAY=-1FR", "America/New_York"},
	} {
		b.Run(bb.text+"/"+bb.zone, func(b *testing.B) {
			spec, err := schedule.Reading{Zone: bb.zone, Key: "7"}.Parse(bb.text)
			if err != nil {
				b.Fatal(err)
			}
			start := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				spec.Next(start.Add(time.Duration(i%350_000) * time.Hour))
			}
		})
	}
}

// BenchmarkRobfig is robfig/cron at the same work, where it knows the spec.
func BenchmarkRobfig(b *testing.B) {
	for _, bb := range []struct{ text, zone string }{
		{"* * * * *", "UTC"},
		{"0 9 * * 1-5", "America/New_York"},
		{"*/15 * * * *", "Africa/Casablanca"},
		{"30 2 * * *", "Europe/Berlin"},
		{"0 0 31 * *", "Europe/Dublin"},
		{"0 0 29 2 *", "America/New_York"},
	} {
		b.Run(bb.text+"/"+bb.zone, func(b *testing.B) {
			spec, err := cron.ParseStandard("CRON_TZ=" + bb.zone + " " + bb.text)
			if err != nil {
				b.Fatal(err)
			}
			start := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				spec.Next(start.Add(time.Duration(i%350_000) * time.Hour))
			}
		})
	}
}
