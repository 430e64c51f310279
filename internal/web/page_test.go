package web_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/web"
)

// browser is what browsers send.
const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func askPage(t *testing.T, address string, headers ...string) (*http.Response, string) {
	t.Helper()
	return ask(t, http.MethodGet, address, append([]string{"Accept", browser}, headers...)...)
}

func TestThePageIsForWhoAcceptsHTML(t *testing.T) {
	address := serve(t, &node{})
	for _, tt := range []struct {
		accept string
		page   bool
	}{
		{"", false},
		{"*/*", false},
		{"text/plain", false},
		{"application/json, text/*", false},
		{"text/html;q=0, */*", false},
		{"text/html", true},
		{"TEXT/HTML; q=0.1", true},
		{browser, true},
	} {
		response, body := ask(t, http.MethodGet, address+"/", "Accept", tt.accept)
		if page := strings.HasPrefix(body, "<!doctype html>"); response.StatusCode != http.StatusOK || page != tt.page {
			t.Errorf("GET / with Accept %q: %d %.40q, want a page: %v", tt.accept, response.StatusCode, body, tt.page)
		}
		if response.Header.Get("Vary") != "Accept, Accept-Language" {
			t.Errorf("GET / with Accept %q varies by %q", tt.accept, response.Header.Get("Vary"))
		}
	}
	if response, _ := ask(t, http.MethodPost, address+"/", "Accept", browser); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /: %d", response.StatusCode)
	}
}

// What is shown loads nothing from elsewhere, runs nothing, and is kept and framed by nobody.
func TestThePageIsSecure(t *testing.T) {
	address := serve(t, &node{})
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8"} {
		response, body := askPage(t, address+path)
		for name, want := range map[string]string{
			"Content-Type":            kind,
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("GET %s: %s is %q, want %q", path, name, got, want)
			}
		}
		for _, never := range []string{"<script", "<img", " style=", "http://", "https://", "url(", "@import", "@font-face"} {
			if strings.Contains(body, never) {
				t.Errorf("GET %s has %s", path, never)
			}
		}
	}
}

// What is wrong is read first, with what to do.
func TestThePageSaysHowTheNodeIs(t *testing.T) {
	health := web.Health{Node: "n1", Leader: true, Term: 7, Checks: []web.Check{
		{Name: "database", OK: true}, {Name: "broker", Detail: "connection refused: start it"}, {Name: "dispatch", OK: true},
	}}
	n := &node{health: health, page: func(context.Context, web.Asked) web.Page {
		return web.Page{Version: "1.2.3", At: time.Date(2026, 11, 27, 10, 0, 0, 0, jst), Shards: []web.Shard{{Term: 7}}}
	}}
	address := serve(t, n)
	response, body := askPage(t, address)
	if got := response.Header.Get("Refresh"); response.StatusCode != http.StatusOK || got != "10" {
		t.Errorf("GET /: %d, made again after %q seconds", response.StatusCode, got)
	}
	inOrder(t, body, `<html lang="en">`, "n1", "1.2.3", `datetime="2026-11-27T01:00:00Z"`, "2026-11-27 10:00:00 +0900", "2026-11-27 01:00:00Z",
		"Something is wrong", "This node leads, in term 7.", "broker", "failed", "connection refused: start it", "database", ">ok<", "dispatch")
	_, body = askPage(t, address, "Accept-Language", "ja,en-US;q=0.9")
	inOrder(t, body, `<html lang="ja">`, "問題があります", "このノードがリーダーです", "ブローカー", "異常", `lang="en"`, "connection refused: start it", "データベース", "正常")

	n.health = web.Health{OK: true, Node: "n1"}
	for _, tt := range []struct {
		shards []web.Shard
		want   []string
	}{
		{nil, nil},
		{[]web.Shard{{Node: "n2"}}, []string{"This node waits; n2 leads."}},
		{[]web.Shard{{}}, []string{"No node leads at the moment."}},
		{[]web.Shard{{Unknown: true}}, []string{"Who leads is not known until the database answers."}},
		{[]web.Shard{{Term: 3}, {Unknown: true}}, []string{"Who leads which shard", ">0<", "this node", ">1<", "not known"}},
		{[]web.Shard{{Term: 3}, {Node: "n2"}, {}}, []string{"Who leads which shard", ">0<", "this node", ">3<", ">1<", "n2", ">2<", "none"}},
	} {
		n := &node{health: web.Health{OK: true, Node: "n1"}, page: func(context.Context, web.Asked) web.Page { return web.Page{Shards: tt.shards} }}
		_, body := askPage(t, serve(t, n))
		inOrder(t, body, append([]string{"All is well"}, tt.want...)...)
	}
}

// inOrder fails unless the page has the texts one after the other.
func inOrder(t *testing.T, body string, texts ...string) {
	t.Helper()
	rest := body
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Errorf("the page does not have %q there:\n%s", text, rest)
			return
		}
		rest = after
	}
}

func TestThePageIsInTheLanguageThatIsPreferred(t *testing.T) {
	address := serve(t, &node{})
	for accepted, want := range map[string]string{
		"":                               "en",
		"ja":                             "ja",
		"ja-JP, en;q=0.5":                "ja",
		"en-US,en;q=0.9,ja;q=0.8":        "en",
		"fr, ja;q=0.5":                   "ja",
		"de":                             "en",
		"ja;q=0":                         "en",
		"JA;q=0.9, en;q=0.8":             "ja",
		"en, ja":                         "en",
		"java;q=1, *;q=0.1, \x7f;;;q=ja": "en",
	} {
		response, body := askPage(t, address, "Accept-Language", strings.ReplaceAll(accepted, "\x7f", ""))
		if got := response.Header.Get("Content-Language"); got != want || !strings.Contains(body, `<html lang="`+want+`">`) {
			t.Errorf("Accept-Language %q: %q, want %q", accepted, got, want)
		}
	}
}

// Names and reasons are anybody's texts: they are shown as text, whatever is in them.
func TestTextsOfOthersAreShownHarmlessly(t *testing.T) {
	hostile := "<script>alert(1)</script>\"' onload=x\n\x00\x1b[31m\u202e" + strings.Repeat("長", 10_000)
	n := &node{health: web.Health{Node: hostile, Checks: []web.Check{{Name: hostile, Detail: hostile}}}, page: func(_ context.Context, asked web.Asked) web.Page {
		return web.Page{
			Version: hostile, Shards: []web.Shard{{Node: hostile}, {}}, Reached: true, Aside: []web.Aside{{ID: hostile, Problem: hostile}, {Name: hostile}},
			Coming: []web.Coming{{Name: hostile, Task: hostile, Skipped: hostile}},
			Ledger: web.Ledger{Problem: asked.Entry, Runs: []web.Run{{ID: hostile, Name: hostile, Task: hostile, State: hostile, Reason: hostile, Queue: hostile, Node: hostile}}},
		}
	}}
	_, body := askPage(t, serve(t, n)+"/?entry="+url.QueryEscape(hostile[:1000])+"&state="+url.QueryEscape(hostile[:1000]))
	for _, never := range []string{"<script", "\"' onload", "\x00", "\x1b", "\u202e", strings.Repeat("長", 501)} {
		if strings.Contains(body, never) {
			at := strings.Index(body, never)
			t.Errorf("the page has %.20q: %q", never, body[max(at-200, 0):at+len(never)])
		}
	}
	inOrder(t, body, "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39; onload=x \uFFFD\uFFFD[31m\uFFFD", "長長…")
}

var jst = time.FixedZone("JST", 9*3600)

// What is set aside and what became of slots is told in the words of the verbs, with what to ask next.
func TestThePageShowsRowsAndRuns(t *testing.T) {
	slot := time.Date(2026, 11, 27, 10, 0, 0, 0, jst)
	page := web.Page{Reached: true, Known: true, Rows: 9, Aside: []web.Aside{{ID: "7", Name: "broken", Problem: "no spec: write one"}, {ID: "8"}}, MoreAside: 5}
	page.At, page.Shards = slot.Add(time.Minute), []web.Shard{{Term: 1}}
	page.Coming = []web.Coming{{Slot: slot.Add(time.Hour), Name: "nightly", Task: "t.n"}, {Slot: slot.Add(2 * time.Hour).UTC(), Name: "held", Skipped: "window move: the move"}}
	page.Ledger = web.Ledger{All: true, Runs: []web.Run{
		{ID: "1", Name: "nightly", Task: "t.n", Slot: slot, Count: 1, State: "sent", Queue: "q", Node: "n1", SentAt: slot.Add(1234567 * time.Nanosecond)},
		{ID: "2", Name: "it's late", Task: "t.l", Slot: slot, Through: slot.Add(time.Hour), Count: 3, State: "skipped", Reason: "misfire", Node: "n1"},
		{ID: "3", Name: "-x", State: "failed", Slot: slot.UTC().Add(time.Microsecond), Reason: "refused", Asked: true, Recovered: true},
		{ID: "4", Name: "two\nlines", State: "unsure", Slot: slot.UTC(), Count: 1},
		{ID: "\u202e", Name: "\u202e", State: "unsure", Slot: slot.UTC(), Count: 1},
	}}
	var asked []web.Asked
	n := &node{health: web.Health{OK: true}, page: func(_ context.Context, a web.Asked) web.Page {
		asked = append(asked, a)
		return page
	}}
	address := serve(t, n)
	response, body := askPage(t, address+"/?entry=+it%27s+late%00+&state=failed")
	inOrder(t, body, "Rows that are set aside", "7 of 9 rows cannot be used.", "broken", "no spec: write one", ">8<", "And 5 more: onebeat entries list --bad names them.",
		"What comes next", "59 min 0 s", ">2026-11-27 11:00:00 +0900<", "nightly", "t.n", "1 h 59 min", ">2026-11-27 03:00:00Z<", "held", "will be skipped: window move: the move",
		"What became of slots", `value="it&#39;s late`, `value="failed" selected`, "Show all",
		">2026-11-27 10:00:00 +0900<", ">2026-11-27 01:00:00Z<", "nightly", ">sent<", "1.2ms", "t.n", ">q<", ">n1<",
		"it&#39;s late", ">skipped<", "misfire", "3 slots until 2026-11-27 11:00:00 +0900", `onebeat explain &#39;it&#39;\&#39;&#39;s late&#39; --at 2026-11-27T10:00:00+09:00`,
		">failed<", "refused", "asked for", "recovered", "onebeat explain 3<",
		"two lines", "onebeat explain 4 --at 2026-11-27T01:00:00Z<")
	if strings.Contains(body, "explain nightly") || strings.Count(body, "onebeat explain") != 3 {
		t.Error("what was sent, or can be written in no command, has one that explains it")
	}
	if response.Header.Get("Refresh") != "" {
		t.Error("a page that was asked for more is made again under the reader's eyes")
	}
	for query, want := range map[string]web.Asked{
		"?state=bad&entry=":                 {},
		"?state=sent":                       {State: "sent"},
		"?entry=%ff&state=%3Cscript%3E&x=1": {Entry: "\uFFFD"},
	} {
		if askPage(t, address+"/"+query); asked[len(asked)-1] != want {
			t.Errorf("GET /%s asked for %+v, want %+v", query, asked[len(asked)-1], want)
		}
	}
	_, body = askPage(t, address, "Accept-Language", "ja")
	inOrder(t, body, "除外されている行", "no spec: write one", "今後の予定", "59分0秒", "nightly", "送信済み (sent)", "スキップ (skipped)")
}

// What is not there is told, and why: also while the database is away.
func TestThePageSaysWhatItCannotShow(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		page        web.Page
		want, never []string
	}{
		{"nothing has answered", "", web.Page{}, []string{"once the database has answered"}, []string{"set aside", "<form"}},
		{"all is being read", "", web.Page{Reached: true, Ledger: web.Ledger{All: true}}, []string{"Rows are being read.", "There is no such run."}, []string{"Rows: 0"}},
		{"the database is away", "", web.Page{Reached: true, Known: true, Ledger: web.Ledger{Unread: true}}, []string{"None. Rows: 0.", "could not be read"}, []string{"no such run"}},
		{"no such entry", "?entry=x", web.Page{Reached: true, Known: true, Ledger: web.Ledger{Problem: "no entry is x"}}, []string{"no entry is x"}, []string{"no such run"}},
		{"older ones, where the latest parts of the ledger have none", "", web.Page{Reached: true, Ledger: web.Ledger{}}, []string{": onebeat runs list lists them"}, []string{"no such run"}},
		{"older exceptions", "", web.Page{Reached: true, Ledger: web.Ledger{Exceptions: true, Runs: []web.Run{{Name: "n", State: "failed"}}}}, []string{": onebeat runs list lists them", "The ledger keeps exceptions only"}, nil},
		{"older ones of a state", "?state=failed", web.Page{Reached: true, Ledger: web.Ledger{}}, []string{"onebeat runs list --state failed"}, []string{"no such run"}},
		{"another leads", "", web.Page{Reached: true, Shards: []web.Shard{{Node: "n2"}}}, []string{"What comes next", "The page of the node that leads shows it"}, []string{"No entry has"}},
		{"nobody leads", "", web.Page{Reached: true, Shards: []web.Shard{{}, {}}}, []string{"What comes next", "No node leads at the moment."}, []string{"No entry has", "The page of"}},
		{"who leads is not known", "", web.Page{Reached: true, Shards: []web.Shard{{Unknown: true}, {}}}, []string{"What comes next", "Who leads is not known until"}, []string{"No entry has", "The page of"}},
		{"others lead too", "", web.Page{Reached: true, Shards: []web.Shard{{Node: "n2"}, {Term: 1}}}, []string{"What comes next", "Of the shards that this node leads."}, []string{"No entry has"}},
		{"nothing comes", "", web.Page{Reached: true, Known: true, Shards: []web.Shard{{Term: 1}}}, []string{"What comes next", "No entry has a slot to come."}, nil},
		{"exceptions alone, and there are none", "?state=failed", web.Page{Reached: true, Ledger: web.Ledger{Exceptions: true, All: true}}, []string{"There is no such run.", "The ledger keeps exceptions only"}, nil},
		{"exceptions alone", "", web.Page{Reached: true, Ledger: web.Ledger{Exceptions: true, Runs: []web.Run{{State: "failed"}}}}, []string{"The ledger keeps exceptions only"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, body := askPage(t, serve(t, &node{page: func(context.Context, web.Asked) web.Page { return tt.page }})+"/"+tt.query)
			if response.StatusCode != http.StatusOK {
				t.Errorf("GET /%s: %d", tt.query, response.StatusCode)
			}
			inOrder(t, body, tt.want...)
			for _, never := range tt.never {
				if strings.Contains(body, never) {
					t.Errorf("the page has %q", never)
				}
			}
		})
	}
}

// However many ask, one page is made at a time, and one of the last second is shown again.
func TestPagesAreMadeOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, running, most atomic.Int64
		n := &node{page: func(ctx context.Context, _ web.Asked) web.Page {
			begun.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(500 * time.Millisecond)
			running.Add(-1)
			return web.Page{}
		}}
		dial, _, stop := servePipes(t, n)
		defer stop()
		get := func() (status func() int) {
			client := dial("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
			return func() int {
				response, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Error(err)
					return 0
				}
				_, _ = io.Copy(io.Discard, response.Body)
				return response.StatusCode
			}
		}
		var answered sync.WaitGroup
		for range 40 {
			status := get()
			answered.Go(func() {
				if status := status(); status != http.StatusOK {
					t.Errorf("GET /: %d", status)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		answered.Wait()
		if begun.Load() != 1 || most.Load() != 1 {
			t.Errorf("%d pages were made, %d at once, for 40 who asked within a second", begun.Load(), most.Load())
		}
		time.Sleep(2 * time.Second)
		if get()(); begun.Load() != 2 {
			t.Errorf("%d pages were made, want another after a second", begun.Load())
		}
	})
}

// Where a page could not be made in time the browser asks again: nobody sits before a screen on a wall.
func TestAPageThatIsNotMadeIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, _, stop := servePipes(t, &node{page: func(context.Context, web.Asked) web.Page {
			time.Sleep(4 * time.Second)
			return web.Page{}
		}})
		defer stop()
		get := func(query string) net.Conn {
			return dial("GET /" + query + " HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
		}
		get("?state=failed")
		synctest.Wait()
		for _, tt := range []struct {
			client  net.Conn
			refresh string
		}{{get(""), "10"}, {get("?state=sent"), ""}} {
			response, err := http.ReadResponse(bufio.NewReader(tt.client), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := response.Header.Get("Refresh"); response.StatusCode != http.StatusServiceUnavailable || got != tt.refresh {
				t.Errorf("a page that others keep waiting is answered with %d, and asked for again after %q s, want %d and %q", response.StatusCode, got, http.StatusServiceUnavailable, tt.refresh)
			}
		}
	})
}

// A page takes no longer than a look at the node's health.
func TestAPageIsMadeWithinABound(t *testing.T) {
	bound := time.Duration(0)
	n := &node{page: func(ctx context.Context, _ web.Asked) web.Page {
		end, _ := ctx.Deadline()
		bound = time.Until(end)
		return web.Page{}
	}}
	askPage(t, serve(t, n))
	if bound <= 0 || bound > 3*time.Second {
		t.Errorf("a page may take %v, want up to 3 s", bound)
	}
}
