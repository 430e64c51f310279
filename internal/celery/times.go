package celery

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// appendTime writes t in UTC in the one form that every Celery worker since 4.0
// reads, 2006-01-02T15:04:05.000000+00:00: six digits of fraction and a numeric
// offset. Up to 5.2 nine digits are refused and three are taken for microseconds;
// 5.3 may refuse a Z. It is written by hand since it stands on the hot path.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(appendPair(appendPair(dst, year/100), year%100), '-')
	dst = append(appendPair(dst, int(month)), '-')
	dst = append(appendPair(dst, day), 'T')
	dst = append(appendPair(dst, hour), ':')
	dst = append(appendPair(dst, minute), ':')
	dst = append(appendPair(dst, second), '.')
	dst = appendMicros(dst, t)
	return append(dst, "+00:00"...)
}

// appendPair writes n, from 0 to 99, in two digits.
func appendPair(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// appendMicros writes the fraction of t's second in six digits.
func appendMicros(dst []byte, t time.Time) []byte {
	micros := t.Nanosecond() / 1000
	return appendPair(appendPair(appendPair(dst, micros/10000), micros/100%100), micros%100)
}

// isoLayouts are the forms of an ISO 8601 time that Celery 5.7 reads in expires
// and eta (dateutil's isoparse), week and ordinal dates excepted. Go takes any
// fraction of a second after the seconds by itself.
var isoLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04Z07", "2006-01-02T15:04",
	"2006-01-02",
	"20060102T150405Z0700", "20060102T150405Z07", "20060102T150405",
}

// parseTime reads an ISO 8601 time. Without an offset it is UTC, as workers take
// it. Digits past the microsecond are dropped.
func parseTime(text string) (time.Time, error) {
	iso := text
	if len(iso) > 10 && iso[10] == ' ' {
		iso = iso[:10] + "T" + iso[11:]
	}
	iso = strings.Replace(iso, ",", ".", 1)
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout, iso); err == nil {
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time like 2026-11-24T09:00:00+00:00", text)
}

// maxSeconds bounds relative times to what a Python datetime can hold from now.
const maxSeconds = 100 * 365 * 24 * 3600

// addSeconds is t + seconds in whole microseconds, rounded as Python's timedelta
// rounds: to the nearest, ties to even.
func addSeconds(t time.Time, seconds float64) time.Time {
	return t.Add(time.Duration(math.RoundToEven(seconds*1e6)) * time.Microsecond).Truncate(time.Microsecond)
}

// maxExpiration is the longest per-message TTL in milliseconds that RabbitMQ
// takes (ten years); beyond it closes the channel.
const maxExpiration = 315_360_000_000

// expiration is a TTL in milliseconds, within what RabbitMQ takes. The fraction
// is cut off as Python's int() cuts it (kombu 5.7 messaging.py).
func expiration(seconds float64) int64 {
	return int64(min(max(seconds*1000, 0), maxExpiration))
}
