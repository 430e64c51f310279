package web

import (
	"context"
	_ "embed"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Shown is what the page shows beside the node's health.
type Shown interface {
	// Page tells what this node knows. It answers within ctx, with what it has by then.
	Page(ctx context.Context, asked Asked) Page
}

// Asked is what of the ledger a page is asked for: all that is empty.
type Asked struct {
	Entry string // by id or name
	State string // one of States
}

// States are how slots end.
var States = []string{"sent", "coalesced", "skipped", "failed", "unsure"}

// A Page is what a node knows at one moment.
type Page struct {
	Version string
	At      time.Time // in the zone that entries are in which name none
	Reached bool      // the database has answered: else there is nothing more
	Shards  []Shard

	Known     bool // all rows were read
	Rows      int
	Aside     []Aside
	MoreAside int // that are not among them

	Coming []Coming // of the shards that this node leads
	Ledger Ledger
}

// An Aside is a row that cannot be used and is set aside.
type Aside struct {
	ID, Name string
	Problem  string // what is wrong and what to do
}

// A Coming is a slot that is yet to come, in its entry's zone.
type Coming struct {
	Slot       time.Time
	Name, Task string
	Skipped    string // why it will be, empty where it will not
}

// A Ledger is the latest runs that were asked for.
type Ledger struct {
	Runs       []Run
	All        bool   // there are no others before them that were not looked at
	Exceptions bool   // it has no runs that were sent
	Problem    string // why there are none of what was asked for
	Unread     bool   // it could not be read
}

// A Run is what became of a slot. Slots are in their entry's zone.
type Run struct {
	ID, Name, Task string // of the entry
	Slot, Through  time.Time
	Count          int // slots from Slot to Through
	State, Reason  string
	Queue, Node    string
	SentAt         time.Time // zero where nothing was sent
	Asked          bool      // by a person
	Recovered      bool      // after a crash
}

// A Shard is a part of the entries, by its number.
type Shard struct {
	Node string // that leads it, where it is another, as far as this one knows; empty for none
	Term int64  // where it is this node, else 0

	Unknown bool // the database has not said lately which node leads
}

//go:embed page.css
var pageCSS []byte

// What the page may load and do: its own style sheet, and nothing else.
const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// secure sets the headers of what a browser is to show.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
}

func style(w http.ResponseWriter, _ *http.Request) {
	secure(w.Header())
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(pageCSS) // the client may have gone
}

const (
	// freshFor is how long a page is shown to others who ask the same.
	freshFor = time.Second

	// refreshSeconds is after how many seconds a browser asks again.
	refreshSeconds = 10
)

// Pages are made one at a time for all who ask, so that messages wait for none of them.
type pages struct {
	node   Node
	look   func() Health
	turn   chan struct{} // has room for the one that is made
	making singleflight.Group

	mu   sync.Mutex
	made map[Asked]made // within the last second
}

// A made page is what was known when it was made.
type made struct {
	until  time.Time
	health Health
	page   Page
}

func newPages(node Node, look func() Health) *pages {
	return &pages{node: node, look: look, turn: make(chan struct{}, 1), made: map[Asked]made{}}
}

// show answers with the page in the language of who asks.
func (p *pages) show(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	text := textsFor(r.Header.Get("Accept-Language"))
	secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", text.Lang)
	asked := askedIn(r.URL.Query())
	if asked == (Asked{}) {
		w.Header().Set("Refresh", strconv.Itoa(refreshSeconds))
	}
	known, ok := p.of(ctx, asked)
	if !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(w, text.Busy, http.StatusServiceUnavailable)
		return
	}
	var out htmlWriter
	view := viewOf(known, asked, text)
	view.write(&out)
	_, _ = out.WriteTo(w) // the client may have gone
}

// askedIn reads what the form on the page asks for. What is none of the states is any.
func askedIn(query url.Values) Asked {
	asked := Asked{Entry: strings.ReplaceAll(strings.ToValidUTF8(strings.TrimSpace(query.Get("entry")), "\uFFFD"), "\x00", "\uFFFD"), State: query.Get("state")}
	if !slices.Contains(States, asked.State) {
		asked.State = ""
	}
	return asked
}

// of returns the page that answers what is asked, as of the last second; false where others take too long.
func (p *pages) of(ctx context.Context, asked Asked) (made, bool) {
	got, _, _ := p.making.Do(asked.State+" "+asked.Entry, func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, lookFor)
		defer cancel()
		select {
		case p.turn <- struct{}{}:
			defer func() { <-p.turn }()
		case <-ctx.Done():
			return made{}, nil
		}
		if fresh, ok := p.fresh(asked); ok {
			return fresh, nil
		}
		looked := make(chan Health, 1)
		go func() { looked <- p.look() }()
		known := made{page: p.node.Page(ctx, asked), health: <-looked}
		p.keep(asked, &known)
		return known, nil
	})
	known := got.(made)
	return known, !known.until.IsZero()
}

func (p *pages) fresh(asked Asked) (made, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.made[asked]
	return known, ok && time.Now().Before(known.until)
}

// keep keeps the page for who asks the same within a second, and lets go of older ones.
func (p *pages) keep(asked Asked, known *made) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	known.until = now.Add(freshFor)
	for other, page := range p.made {
		if !now.Before(page.until) {
			delete(p.made, other)
		}
	}
	p.made[asked] = *known
}

// acceptsHTML says whether the client names HTML as what it takes: browsers do, probes take anything.
func acceptsHTML(accept string) bool {
	quality, named := 0.0, false
	preferences(accept, func(kind string, q float64) {
		if kind == "text/html" || kind == "application/xhtml+xml" {
			quality, named = max(quality, q), true
		}
	})
	return named && quality > 0
}

// preferences calls each with what a header such as Accept names, in small letters, and its quality.
func preferences(header string, each func(what string, quality float64)) {
	for part := range strings.SplitSeq(header, ",") {
		what, parameters, _ := strings.Cut(part, ";")
		quality := 1.0
		for parameter := range strings.SplitSeq(parameters, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			if strings.EqualFold(name, "q") {
				q, err := strconv.ParseFloat(value, 64)
				if err != nil || !(q >= 0 && q <= 1) {
					q = 0
				}
				quality = q
			}
		}
		each(strings.ToLower(strings.TrimSpace(what)), quality)
	}
}
