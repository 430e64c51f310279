package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// waits are the entries with a countdown for whose length the broker does not leave a message with one worker, which
// acknowledges it at its end.
type waits struct {
	left time.Duration // it does for so long; 0: for ever
	last string        // options that were looked at: many rows have the same
	over bool
	few
}

func newWaits(config app.Config) waits {
	options, _ := app.TransportOptions(config) // what is wrong with them is told of the broker
	return waits{left: broker.LeftFor(config.String("broker"), options)}
}

func (w *waits) add(row store.Row) {
	if w.left == 0 {
		return
	}
	if row.Options != w.last {
		var options struct{ Countdown float64 }
		w.last, w.over = row.Options, false
		if strings.Contains(row.Options, `"countdown"`) && json.Unmarshal([]byte(row.Options), &options) == nil {
			w.over = options.Countdown > w.left.Seconds()
		}
	}
	if w.over {
		w.few.add(func() string { return clip(row.Name) })
	}
}

// note names the entries.
func (w *waits) note() string {
	if w.n == 0 {
		return ""
	}
	return fmt.Sprintf("%s with a countdown of more than %v, after which the broker gives a message to another worker too, so that the task runs twice, or more: %s. "+
		"Leave the countdown out, and let the spec have the later time; or set visibility_timeout in the broker_transport_options of the workers and of onebeat", schedule.Counted(w.n, "entry"), w.left, w.few)
}
