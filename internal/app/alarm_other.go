//go:build !linux

package app

import (
	"context"
	"time"
)

// An alarm is for systems whose timers Go's own are not as precise as; there is none here.
type alarm struct{}

func newAlarm() *alarm { return nil }

func (*alarm) close() {}

func (*alarm) sleep(context.Context, time.Duration) bool { return true }
