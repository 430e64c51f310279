// Package browser runs Chromium, which scripts/deps installs, without a screen.
//
// It is spoken to over a pipe in the protocol of its developer tools. It knows no host but
// this machine's loopback: what asks for another is told that there is none.
package browser

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness/process"
)

// patience bounds the start and each answer, on a busy machine.
const patience = 30 * time.Second

// A Browser is a running Chromium with one tab.
type Browser struct {
	t        testing.TB
	process  *process.Process
	commands *os.File
	messages chan message
	session  string
	last     int    // number of a command
	loader   string // of the page that is shown

	seen []message // events that nobody has looked at yet
}

// A View is how the tab shows a page.
type View struct {
	Width    int
	Language string // as Accept-Language has it; empty is English
	Dark     bool
}

// A Visit is what came of opening a page.
type Visit struct {
	Requests []string // URLs that were asked for
	Faults   []string // what the console has, exceptions, requests that failed, violations of the page's policy
}

// A message is a command's answer, or an event.
type message struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct{ Message string }
}

// Start starts a browser, which ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := os.Getenv("ONEBEAT_TEST_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	if path == "" {
		t.Fatal("there is no Chromium: run scripts/deps, or name one in ONEBEAT_TEST_CHROMIUM")
	}
	dir := t.TempDir()
	toBrowser, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer toBrowser.Close()
	answers, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer fromBrowser.Close()
	p, err := process.Start(process.Command{
		Path: path, Log: filepath.Join(dir, "chromium.log"), Dir: dir, Files: []*os.File{toBrowser, fromBrowser},
		Env: []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_CACHE_HOME=" + dir, "DBUS_SESSION_BUS_ADDRESS=disabled:"},
		Args: []string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", // as root, and in containers
			"--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(dir, "profile"), "--no-first-run", "--no-default-browser-check",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-breakpad",
			"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--hide-scrollbars", "about:blank",
		},
	})
	if err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	b := &Browser{t: t, process: p, commands: commands, messages: make(chan message, 1000)}
	go b.read(answers)
	t.Cleanup(func() {
		p.Kill()
		commands.Close()
		answers.Close()
		for range b.messages { // what nobody looks at any more, until the reader ends
		}
	})
	var target struct{ TargetID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Audits"} {
		b.do(domain+".enable", nil, nil)
	}
	b.do("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil)
	return b
}

// read takes what the browser says until it says no more.
func (b *Browser) read(answers *os.File) {
	defer close(b.messages)
	in := bufio.NewReader(answers)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) == nil {
			b.messages <- m
		}
	}
}

// next returns the next message that is there within the browser's patience.
func (b *Browser) next(wanted string, over <-chan time.Time) message {
	b.t.Helper()
	select {
	case m, ok := <-b.messages:
		if !ok {
			b.t.Fatalf("Chromium ended before %s\n%s", wanted, b.process.Tail(20))
		}
		return m
	case <-over:
		b.t.Fatalf("Chromium took more than %v for %s\n%s", patience, wanted, b.process.Tail(20))
	}
	return message{}
}

// do has the browser carry out a command, and reads its result.
func (b *Browser) do(method string, params, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *Browser) try(method string, params, result any) error {
	b.t.Helper()
	b.last++
	command := map[string]any{"id": b.last, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := b.commands.Write(append(text, 0)); err != nil {
		return fmt.Errorf("%w\n%s", err, b.process.Tail(20))
	}
	over := time.After(patience)
	for {
		m := b.next(method, over)
		switch {
		case m.ID != b.last:
			b.seen = append(b.seen, m)
		case m.Error != nil:
			return errors.New(m.Error.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(m.Result, result)
		}
	}
}

// Open shows the page, and returns what came of it once all that it loads is there.
func (b *Browser) Open(url string, view View) Visit {
	b.t.Helper()
	scheme := "light"
	if view.Dark {
		scheme = "dark"
	}
	language := view.Language
	if language == "" {
		language = "en"
	}
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": view.Width, "height": 800, "deviceScaleFactor": 1, "mobile": view.Width < 600}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.do("Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"Accept-Language": language}}, nil)
	b.do("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.seen = nil
	var navigated struct{ ErrorText, LoaderID string }
	b.do("Page.navigate", map[string]any{"url": url}, &navigated)
	if navigated.ErrorText != "" {
		b.t.Fatalf("open %s: %s", url, navigated.ErrorText)
	}
	b.loader = navigated.LoaderID
	return b.await(url, func(loader string) bool { return loader == b.loader })
}

// Click clicks on what the selector finds, and returns what came of it once the page that it leads to is there.
func (b *Browser) Click(selector string) Visit {
	b.t.Helper()
	former := b.loader
	b.seen = nil
	b.do("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf("document.querySelector(%q).click()", selector), "userGesture": true}, nil)
	return b.await("what a click on "+selector+" leads to", func(loader string) bool {
		b.loader = loader
		return loader != former
	})
}

// await returns once the page of a loader is there.
func (b *Browser) await(page string, is func(loader string) bool) (visit Visit) {
	b.t.Helper()
	for over := time.After(patience); !b.loaded(&visit, is); {
		b.seen = append(b.seen, b.next("the load of "+page, over))
	}
	return visit
}

// loaded looks at what was seen, and says whether the page is there.
func (b *Browser) loaded(visit *Visit, is func(loader string) bool) (done bool) {
	for _, event := range b.seen {
		var p struct {
			Name, LoaderID, Type, ErrorText string
			Request                         struct{ URL string }
			Entry                           struct{ Source, Level, Text, URL string }
			Args                            []struct{ Value any }
			ExceptionDetails                struct{ Text string }
			Issue                           struct{ Code string }
		}
		if err := json.Unmarshal(event.Params, &p); err != nil && event.Params != nil {
			continue // of an event that is none of these
		}
		fault := func(parts ...any) { visit.Faults = append(visit.Faults, event.Method+": "+fmt.Sprintln(parts...)) }
		switch event.Method {
		case "Network.requestWillBeSent":
			visit.Requests = append(visit.Requests, p.Request.URL)
		case "Network.loadingFailed":
			fault(p.Type, p.ErrorText)
		case "Log.entryAdded":
			fault(p.Entry.Source, p.Entry.Level, p.Entry.Text, p.Entry.URL)
		case "Runtime.consoleAPICalled":
			fault(p.Type, p.Args)
		case "Runtime.exceptionThrown":
			fault(p.ExceptionDetails.Text)
		case "Audits.issueAdded":
			fault(p.Issue.Code, string(event.Params))
		case "Page.lifecycleEvent":
			done = done || p.Name == "load" && is(p.LoaderID)
		}
	}
	b.seen = nil
	return done
}

// Evaluate returns in result what the expression of JavaScript says of the page, which it is asked for as JSON.
func (b *Browser) Evaluate(expression string, result any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value string }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.do("Runtime.evaluate", map[string]any{"expression": "JSON.stringify(" + expression + ")", "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("evaluate %.200s: %s", expression, answer.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal([]byte(answer.Result.Value), result); err != nil {
		b.t.Fatalf("evaluate %.200s: %v", expression, err)
	}
}

// Picture writes what the tab shows, as a PNG, to a file of the name in the folder that ONEBEAT_TEST_PICTURES names, if
// that is set.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	dir := os.Getenv("ONEBEAT_TEST_PICTURES")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
