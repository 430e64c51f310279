// Package page looks at the page of a real node in a real browser.
package page

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/browser"
	"github.com/onebeat/onebeat/test/harness/process"
)

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &binary)) }

const startWait = 30 * time.Second

// Names as people, and others, write them.
const (
	hostile  = `<script>document.title = "owned"</script><img src=http://127.0.0.2/x> "it's"`
	arabic   = "تقرير يومي"
	japanese = "売上レポート(日次)"
)

// endless is a name as long as its column takes, without a place to break it.
var endless = strings.Repeat("nightly_", 31)

// A person who opens the address of a node sees how it is, which rows are set aside and why, and what became of
// slots: on a phone and on a desk, by light and by dark, in English and in Japanese, and the page asks nobody else.
func TestThePageInABrowser(t *testing.T) {
	address := serveEntries(t)
	b := browser.Start(t)
	for _, tt := range []struct {
		name string
		view browser.View
		want []string
	}{
		{"desk", browser.View{Width: 1280}, []string{"All is well", "This node leads, in term 1.", "database", "broker", "dispatch", "Rows that are set aside", "What comes next", "What became of slots", "sent", "skipped", "window move: the move"}},
		{"phone", browser.View{Width: 360}, []string{"All is well", "Rows that are set aside", "What became of slots"}},
		{"phone at night", browser.View{Width: 360, Dark: true, Language: "ja-JP,ja;q=0.9,en;q=0.8"}, []string{"正常です", "このノードがリーダーです", "除外されている行", "今後の予定", "スロットの結果", "送信済み (sent)", "スキップ (skipped)"}},
		{"desk at night", browser.View{Width: 1280, Dark: true}, []string{"All is well"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			visit := b.Open(address+"/", tt.view)
			var seen struct {
				Title, Text, Lang  string
				Scripts, Pictures  int
				Width, View, Boxes float64
				Pale               []string
			}
			b.Evaluate(look, &seen)
			b.Picture(strings.ReplaceAll(tt.name, " ", "-"))
			for _, fault := range visit.Faults {
				t.Errorf("the browser says %s", fault)
			}
			for _, request := range visit.Requests {
				if !strings.HasPrefix(request, address+"/") {
					t.Errorf("the page asked for %s", request)
				}
			}
			text := strings.Join(strings.Fields(seen.Text), " ")
			for _, want := range append(tt.want, "broken", "nothing that Celery knows", hostile, endless, arabic, japanese, "onebeat explain") {
				if !strings.Contains(text, want) {
					t.Errorf("a reader does not see %q in:\n%s", want, text)
				}
			}
			if strings.Contains(seen.Title, "owned") || seen.Scripts != 0 || seen.Pictures != 0 {
				t.Errorf("a name was taken for HTML: %d scripts, %d pictures, the title %q", seen.Scripts, seen.Pictures, seen.Title)
			}
			if seen.Width > seen.View || seen.View != float64(tt.view.Width) {
				t.Errorf("the page is %v wide in a window of %v, want %d", seen.Width, seen.View, tt.view.Width)
			}
			if seen.Boxes > seen.View {
				t.Errorf("a box reaches to %v in a window of %v", seen.Boxes, seen.View)
			}
			for _, pale := range seen.Pale {
				t.Errorf("hard to read: %s", pale)
			}
			for _, secret := range []string{"secret-argument", "secret-password", "postgres://", "redis://"} {
				if strings.Contains(text, secret) {
					t.Errorf("the page shows %s", secret)
				}
			}
		})
	}
	b.Open(address+"/?state=sent", browser.View{Width: 1280}) // which is not made again by itself
	var chosen bool
	b.Evaluate(`(document.querySelector("select").value = "skipped", true)`, &chosen)
	if visit := b.Click("form button"); len(visit.Faults) > 0 {
		t.Errorf("of the form the browser says %s", visit.Faults)
	}
	var filtered struct {
		Text, State string
		Rows        int
	}
	b.Evaluate(`{Text: document.querySelector(".runs").innerText, State: document.querySelector("select").value, Rows: document.querySelectorAll(".runs tbody tr").length}`, &filtered)
	if filtered.State != "skipped" || filtered.Rows == 0 || !strings.Contains(filtered.Text, arabic) || strings.Contains(filtered.Text, hostile) {
		t.Errorf("runs that were skipped are %d, with the choice %q:\n%s", filtered.Rows, filtered.State, filtered.Text)
	}
	b.Open(address+"/?entry="+url.QueryEscape(hostile), browser.View{Width: 1280})
	b.Evaluate(`{Text: document.querySelector(".runs").innerText, State: document.querySelector("input").value, Rows: document.querySelectorAll(".runs tbody tr").length}`, &filtered)
	if filtered.State != hostile || filtered.Rows == 0 || strings.Contains(filtered.Text, arabic) {
		t.Errorf("runs of the entry %q are %d:\n%s", filtered.State, filtered.Rows, filtered.Text)
	}
}

// look is what a reader's eyes take in: the text, how wide it is, and texts whose contrast with what is behind them is
// below that of WCAG 2 AA, 4.5 to 1.
const look = `(() => {
	const light = text => {
		const [r, g, b] = text.match(/[\d.]+/g).map(Number).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		return 0.2126 * r + 0.7152 * g + 0.0722 * b
	}
	const behind = element => {
		for (; element; element = element.parentElement) {
			const color = getComputedStyle(element).backgroundColor
			if (!color.endsWith(", 0)")) return color
		}
		return "rgb(255, 255, 255)"
	}
	const pale = new Set()
	for (const element of document.body.querySelectorAll("*")) {
		if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue
		const color = getComputedStyle(element).color, ground = behind(element)
		const [a, b] = [light(color), light(ground)].sort((a, b) => b - a)
		if ((a + 0.05) / (b + 0.05) < 4.5) pale.add(element.tagName + " " + element.className + ": " + color + " on " + ground)
	}
	return {
		Title: document.title, Text: document.body.innerText, Lang: document.documentElement.lang,
		Scripts: document.scripts.length, Pictures: document.images.length,
		Width: document.documentElement.scrollWidth, View: innerWidth,
		Boxes: Math.max(...[...document.querySelectorAll("body > *, section > *, form > *, dl > *")].map(e => e.getBoundingClientRect().right)),
		Pale: [...pale],
	}
})()`

// serveEntries starts a node on entries of many kinds, and returns its address once some of their slots have ended.
func serveEntries(t *testing.T) string {
	t.Helper()
	database := freshDatabase(t)
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	queue := fmt.Sprintf("page-%d", os.Getpid())
	settings := []string{
		"--database", database, "--broker", harness.Env(t, "ONEBEAT_TEST_REDIS") + "/15", "--zone", "Asia/Tokyo",
	}
	command := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), binary, append(args, settings[:2]...)...).CombinedOutput(); err != nil {
			t.Fatalf("onebeat %s: %v\n%s", args[0], err, out)
		}
	}
	command("migrate")
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for name, spec := range map[string]string{hostile: "@every 1s", endless: "@every 1s", arabic: "@every 1s", japanese: "@every 1s", "broken": "every now and then, sometimes", "weekly": "0 9 * * 1"} {
		_, err := conn.Exec(t.Context(), `INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs) VALUES ($1, 'reports.daily', $2, '["secret-argument"]', '{"password": "secret-password"}')`, name, spec)
		if err != nil {
			t.Fatal(err)
		}
	}
	command("windows", "add", "move", "--entry", arabic, "--from", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "--until", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339), "--reason", "the move")
	address := fmt.Sprintf("127.0.0.1:%d", port)
	log := filepath.Join(t.TempDir(), "node.log")
	p, err := process.Start(process.Command{
		Path: binary, Log: log, Args: append([]string{"serve", "--listen", address, "--node", "node1"}, settings...), Env: []string{"CELERY_TASK_DEFAULT_QUEUE=" + queue},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the node's log:\n%s", p.Tail(25))
		}
	})
	harness.Eventually(t, startWait, func() error {
		var ended int
		err := conn.QueryRow(t.Context(), "SELECT count(DISTINCT entry_id) FROM onebeat_runs").Scan(&ended)
		if err == nil && ended < 4 {
			err = fmt.Errorf("slots of %d entries have ended, want 4\n%s", ended, p.Tail(25))
		}
		return err
	})
	harness.Eventually(t, startWait, func() error {
		response, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("/healthz: %s", response.Status)
		}
		return nil
	})
	return "http://" + address
}

// freshDatabase makes a database that is dropped at the test's end.
func freshDatabase(t *testing.T) string {
	t.Helper()
	server := harness.Env(t, "ONEBEAT_TEST_POSTGRES")
	name := fmt.Sprintf("page_%d", os.Getpid())
	run := func(statement string) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	run("CREATE DATABASE " + name)
	t.Cleanup(func() { run("DROP DATABASE " + name + " WITH (FORCE)") })
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("ONEBEAT_TEST_POSTGRES is no URL")
	}
	at.Path = "/" + name
	return at.String()
}
