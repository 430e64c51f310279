package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What a forecast may be asked for.
const (
	forecastMost = 31 * 24 * time.Hour
	worstMost    = 1000
)

// Instants that a forecast may be from: JSON has years of four digits, also where a time ends.
var (
	earliest = time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, time.December, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
)

func forecast(w http.ResponseWriter, r *http.Request, node Node) {
	asked, err := readForecast(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	report, err := node.Forecast(r.Context(), asked)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(takenWithin)) // it may have taken minutes
	switch {
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, err)
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		answerAs(w, http.StatusOK, report)
	}
}

func refuse(w http.ResponseWriter, status int, err error) {
	answerAs(w, status, map[string]string{"error": err.Error()})
}

// readForecast reads what is asked for; a day and five seconds unless the query says so.
func readForecast(query string) (asked Forecast, err error) {
	asked = Forecast{Next: 24 * time.Hour, Worst: 5}
	values, err := url.ParseQuery(query)
	if err != nil {
		return asked, errors.New("the query cannot be read: write it as ?next=24h&worst=5")
	}
	for name := range values {
		value := values.Get(name)
		switch name {
		case "next":
			if asked.Next, err = schedule.ReadLength(value); err != nil || asked.Next <= 0 || asked.Next > forecastMost {
				return asked, fmt.Errorf("next=%.50q: give a length up to %dd, such as 24h or 7d", value, forecastMost/(24*time.Hour))
			}
		case "from":
			if asked.From, err = time.Parse(time.RFC3339, value); err != nil || asked.From.Before(earliest) || asked.From.After(latest) {
				return asked, fmt.Errorf("from=%.50q: give an instant such as 2026-12-01T00:00:00Z", value)
			}
		case "worst":
			if asked.Worst, err = strconv.Atoi(value); err != nil || asked.Worst < 0 || asked.Worst > worstMost {
				return asked, fmt.Errorf("worst=%.50q: give a number from 0 to %d", value, worstMost)
			}
		default:
			return asked, fmt.Errorf("%.50q is not known here: a forecast takes next, from and worst", name)
		}
	}
	return asked, nil
}
