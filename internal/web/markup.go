package web

import (
	"bytes"
	"html"
	"strconv"
	"strings"
)

// A markup is HTML as it stands in this program. A text that is known only as it runs is none: it takes the place of a %, escaped.
//
// html/template would do the same and looks up methods by their names, for which the linker keeps all of every type: a
// tenth of the program.
type markup string

// An htmlWriter writes a page.
type htmlWriter struct{ bytes.Buffer }

// put writes the markup with the texts, each in the place of a %: within an element or a quoted attribute.
func (w *htmlWriter) put(m markup, texts ...string) {
	for _, text := range texts {
		before, after, ok := strings.Cut(string(m), "%")
		if !ok {
			panic("there is no place for a text in " + string(m)) // it is executed in the tests
		}
		w.WriteString(before)
		w.WriteString(html.EscapeString(text))
		m = markup(after)
	}
	if strings.Contains(string(m), "%") {
		panic("a text is missing in " + string(m))
	}
	w.WriteString(string(m))
}

// some writes the markup with the text, unless that is empty.
func (w *htmlWriter) some(m markup, text string) {
	if text != "" {
		w.put(m, text)
	}
}

// moment writes an instant.
func (w *htmlWriter) moment(at moment) {
	if at.Machine != "" {
		w.put(`<time datetime="%">%</time>`, at.Machine, at.Zone)
		w.some(` <span class="utc">%</span>`, at.UTC)
	}
}

// table writes a table with the rows that write writes; label is the id of what says what it has.
func (w *htmlWriter) table(label string, opens markup, caption string, columns []string, write func()) {
	w.put(`<div class="table" role="region" tabindex="0" aria-labelledby="%">`+"\n", label)
	w.put(opens, caption)
	w.put("\n<thead><tr>")
	for _, column := range columns {
		w.put(`<th scope="col">%</th>`, column)
	}
	w.put("</tr></thead>\n<tbody>\n")
	write()
	w.put("</tbody>\n</table>\n</div>\n")
}

// write writes the page.
func (v *view) write(w *htmlWriter) {
	t := v.T
	w.put(`<!doctype html>
<html lang="%">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>% · onebeat</title>
<link rel="stylesheet" href="page.css">
</head>
<body>
<header>
<h1>onebeat</h1>
<dl>
<div><dt>%</dt><dd><bdi>%</bdi></dd></div>
`, t.Lang, v.Title, t.Node, v.Node)
	if v.Version != "" {
		w.put("<div><dt>%</dt><dd>%</dd></div>\n", t.Version, v.Version)
	}
	w.put("<div><dt>%</dt><dd>", t.At)
	w.moment(v.At)
	w.put("</dd></div>\n</dl>\n</header>\n<main>\n")
	v.writeHealth(w)
	if v.Reached {
		v.writeAside(w)
		v.writeComing(w)
		v.writeRuns(w)
	} else {
		w.put("<p>%</p>\n", t.Unreached)
	}
	w.put("</main>\n")
	w.some("<footer><p>%</p></footer>\n", v.Again)
	w.put("</body>\n</html>\n")
}

// wellOrIll is the class of what says how something is.
func wellOrIll(ok bool) string {
	if ok {
		return "well"
	}
	return "ill"
}

func (v *view) writeHealth(w *htmlWriter) {
	t := v.T
	w.put(`<section aria-labelledby="health">
<h2 id="health" class="%">%</h2>
`, wellOrIll(v.OK), v.Title)
	w.some("<p>%</p>\n", v.Leads)
	if len(v.Shards) > 0 {
		w.table("shards", `<table><caption id="shards">%</caption>`, t.Shards, []string{t.Shard, t.Leader, t.Term}, func() {
			for _, shard := range v.Shards {
				w.put(`<tr><th scope="row">%</th><td><bdi>%</bdi></td><td>%</td></tr>`+"\n", strconv.Itoa(shard.Number), shard.Leader, shard.Term)
			}
		})
	}
	if len(v.Checks) > 0 {
		w.table("checks", `<table><caption id="checks">%</caption>`, t.Checks, []string{t.Check, t.State, t.Detail}, func() {
			for _, check := range v.Checks {
				w.put(`<tr><th scope="row" class="check">%</th><td class="check %">%</td><td class="long" lang="en"><bdi>%</bdi></td></tr>`+"\n",
					check.Name, wellOrIll(check.OK), check.State, check.Detail)
			}
		})
	}
	w.put("</section>\n")
}

func (v *view) writeAside(w *htmlWriter) {
	t := v.T
	w.put(`<section aria-labelledby="aside">
<h2 id="aside">%</h2>
<p>%</p>
`, t.Aside, v.Rows)
	if len(v.Aside) > 0 {
		w.table("aside", `<table><caption class="hidden">%</caption>`, t.Aside, []string{t.Name, t.Problem}, func() {
			for _, row := range v.Aside {
				w.put(`<tr><th scope="row" class="name"><bdi>%</bdi></th><td class="long" lang="en"><bdi>%</bdi></td></tr>`+"\n", row.Name, row.Problem)
			}
		})
	}
	w.some("<p>%</p>\n", v.MoreAside)
	w.put("</section>\n")
}

func (v *view) writeComing(w *htmlWriter) {
	t := v.T
	w.put(`<section aria-labelledby="coming">
<h2 id="coming">%</h2>
`, t.Coming)
	w.some("<p>%</p>\n", v.ComingNote)
	if len(v.Coming) > 0 {
		w.table("next", `<table><caption id="next">%</caption>`, t.NextSlots, []string{t.In, t.Slot, t.Entry, t.Task}, func() {
			for _, slot := range v.Coming {
				w.put(`<tr><td class="late">%</td><td>`, slot.In)
				w.moment(slot.Slot)
				w.put(`</td><th scope="row" class="name"><bdi>%</bdi></th><td class="name"><bdi>%</bdi>`, slot.Name, slot.Task)
				w.some(` <span class="unsure">%</span>`, slot.Why)
				w.put("</td></tr>\n")
			}
		})
	}
	w.put("</section>\n")
}

func (v *view) writeRuns(w *htmlWriter) {
	t := v.T
	w.put(`<section aria-labelledby="runs">
<h2 id="runs">%</h2>
<form method="get" action="./#runs">
<label>% <input name="entry" value="%" placeholder="%" autocomplete="off" spellcheck="false"></label>
<label>% <select name="state">`, t.Runs, t.Entry, v.Asked.Entry, t.ByID, t.State)
	for _, state := range v.States {
		if state.Chosen {
			w.put(`<option value="%" selected>%</option>`, state.Value, state.Name)
		} else {
			w.put(`<option value="%">%</option>`, state.Value, state.Name)
		}
	}
	w.put("</select></label>\n<button>%</button>\n", t.Show)
	if v.Asked != (Asked{}) {
		w.put(`<a href="./#runs">%</a>`+"\n", t.All)
	}
	w.put("</form>\n")
	w.some(`<p lang="en"><bdi>%</bdi></p>`+"\n", v.Said)
	w.some("<p>%</p>\n", v.Note)
	if len(v.Runs) > 0 {
		columns := []string{t.Slot, t.Entry, t.State, t.Late, t.Task, t.Queue, t.Node, t.Why}
		w.table("latest", `<table class="runs"><caption id="latest">%</caption>`, t.Latest, columns, func() {
			for i := range v.Runs {
				v.Runs[i].write(w)
			}
		})
	}
	w.put("</section>\n")
}

func (r *runView) write(w *htmlWriter) {
	w.put("<tr><td>")
	w.moment(r.Slot)
	w.put(`</td><th scope="row" class="name"><bdi>%</bdi></th><td class="state %">%</td><td class="late">%</td>`, r.Name, r.Value, r.State, r.Late)
	w.put(`<td class="name"><bdi>%</bdi></td><td class="short"><bdi>%</bdi></td><td class="short"><bdi>%</bdi></td><td class="why">`, r.Task, r.Queue, r.Node)
	w.some(`<p lang="en"><bdi>%</bdi></p>`, r.Reason)
	for _, why := range r.Why {
		w.put("<p>%</p>", why)
	}
	w.some("<code><bdi>%</bdi></code>", r.Explain)
	w.put("</td></tr>\n")
}
