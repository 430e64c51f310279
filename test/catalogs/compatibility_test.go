package catalogs

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/compatibility.md anew")

const compatibilityDoc = "../../docs/compatibility.md"

// versions are the packages of which a version stands in the page, by the file that pins
// it.
var versions = []struct {
	file     string
	packages []string
}{
	{"new", []string{"celery", "kombu", "redis"}},
	{"52", []string{"celery", "kombu", "redis"}},
	{"django", []string{"django-celery-beat", "Django", "celery", "psycopg2-binary", "PyMySQL"}},
	{"django-old", []string{"django-celery-beat", "Django", "celery", "psycopg2-binary", "PyMySQL"}},
	{"sqlalchemy", []string{"sqlalchemy-celery-beat", "SQLAlchemy", "celery", "psycopg2-binary", "PyMySQL"}},
	{"redbeat", []string{"celery-redbeat", "celery", "redis"}},
}

// code is a text of a program as the page shows it.
func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + text + "`"
}

// compatibility prints the page from what the tests of this package run over.
func compatibility(t *testing.T) string {
	t.Helper()
	var page strings.Builder
	page.WriteString(`# What is tested with what

<!-- Printed from the tables in test/catalogs: go test ./test/catalogs -run Compatibility -update -->

The tests make tables with these packages' own models (and keys with RedBeat's own classes), and read them, and run them on each of these databases. The servers are those of Debian 12 (PostgreSQL 15, MariaDB 10.11, Redis 7, RabbitMQ 3.10) unless the
environment names others. "–" is what a catalog has no way to write.

| catalog | database |`)
	for _, k := range kinds {
		page.WriteString(" " + k.name + " |")
	}
	page.WriteString("\n|---|---" + strings.Repeat("|---", len(kinds)) + "|\n")
	for _, c := range append(ofOnebeat[:len(ofOnebeat):len(ofOnebeat)], catalogs...) {
		name, where, _ := strings.Cut(c.String(), " on ")
		fmt.Fprintf(&page, "| %s | %s |", name, where)
		for _, k := range kinds {
			has := k.in(c.name)
			if slices.Contains(catalogs, c) {
				has = k.task
			}
			if has == "" {
				page.WriteString(" – |")
			} else {
				page.WriteString(" yes |")
			}
		}
		page.WriteString("\n")
	}
	page.WriteString("\n\"Without zones\" is a Django whose USE_TZ is off, \"old\" the version of requirements-django-old.txt, and the database of files and of RedBeat is that which remembers.\n")
	page.WriteString("\n## How a kind is written\n\n| kind | native | file | RedBeat | in the packages' tables |\n|---|---|---|---|---|\n")
	for _, k := range kinds {
		task := "–"
		if k.task != "" {
			if !slices.ContainsFunc(goodTasks, func(good goodTask) bool { return good.name == k.task }) {
				t.Fatalf("there is no task %q", k.task)
			}
			task = "the task \"" + k.task + "\" below"
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s |\n", k.name, code(k.native), code(k.file), code(k.redbeat), task)
	}
	page.WriteString("\nsqlalchemy-celery-beat's columns hold whole seconds on MariaDB and MySQL; the others hold microseconds.\n\n## How a task is read\n\n| task | its columns | spec | options |\n|---|---|---|---|\n")
	for _, good := range goodTasks {
		fmt.Fprintf(&page, "| %s | `%s` | `%s` | `%s` |\n", good.name, good.make, good.spec, good.options)
	}
	page.WriteString("\n`nine` is `cron(minute=\"0,30\", hour=\"9\", day_of_week=\"mon-fri\", timezone=\"Asia/Tokyo\")`, `dusk` a sunset in Tokyo, `day` 2030-01-01 09:00:00.000250 UTC.\n\n" +
		"## What is set aside\n\nEach with a reason that has the words of the last column. All others run.\n\n| scheduler | task | the reason speaks of |\n|---|---|---|\n")
	for _, name := range []string{"both", "django", "sqlalchemy"} {
		bad := moreBadTasks[name]
		if name == "both" {
			bad = badTasks
		}
		for _, task := range bad {
			fmt.Fprintf(&page, "| %s | `task(%q, %s)` | %s |\n", name, task.name, task.make, task.says)
		}
	}
	page.WriteString("\n## Versions of Python's packages\n\n| among | versions |\n|---|---|\n")
	for _, among := range versions {
		text, err := os.ReadFile("../python/requirements-" + among.file + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		pinned := map[string]string{}
		for line := range strings.Lines(string(text)) {
			if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
				pinned[name] = version
			}
		}
		var named []string
		for _, name := range among.packages {
			if pinned[name] == "" {
				t.Fatalf("requirements-%s.txt does not pin %s", among.file, name)
			}
			named = append(named, name+" "+pinned[name])
		}
		fmt.Fprintf(&page, "| `requirements-%s.txt` | %s |\n", among.file, strings.Join(named, ", "))
	}
	page.WriteString("\nOlder tables are tried too, on each of the databases: those of django-celery-beat ")
	for i, old := range oldTables {
		page.WriteString([]string{"", ", "}[min(i, 1)] + old.version)
	}
	page.WriteString(" as its own migrations make them, those of sqlalchemy-celery-beat 0.5 by taking away the columns that it had not.\n")
	return page.String()
}

func TestCompatibilityPageIsCurrent(t *testing.T) {
	want := compatibility(t)
	if *update {
		if err := os.WriteFile(compatibilityDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(compatibilityDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/compatibility.md is not what the tests run over: run go test ./test/catalogs -run Compatibility -update")
	}
}
