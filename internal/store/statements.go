package store

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
)

//go:embed sql
var sqlFiles embed.FS

// statements are the SQL texts of one dialect by name, without their headers.
type statements map[string]string

// loadStatements reads those of a dialect, and those of a layout in it.
func loadStatements(dialect string, l *layout) statements {
	texts := loadFolder(dialect)
	maps.Copy(texts, loadFolder(dialect, l.name))
	texts.removals(dialect)
	return texts
}

// loadFolder reads those of one folder.
func loadFolder(names ...string) statements {
	texts := statements{}
	files, err := fs.Glob(sqlFiles, path.Join("sql", path.Join(names...), "*.sql"))
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, file := range files {
		text, err := fs.ReadFile(sqlFiles, file)
		if err != nil {
			panic(err) // it was just listed
		}
		texts[strings.TrimSuffix(path.Base(file), ".sql")] = withoutHeader(string(text))
	}
	return texts
}

// withoutHeader leaves out the comment lines that a file begins with.
func withoutHeader(text string) string {
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return strings.TrimSpace(text)
}

// get returns the statement of that name. That each name in use has a file is
// what the tests prove, so a missing one is a fault of the program.
func (s statements) get(name string) string {
	text, ok := s[name]
	if !ok {
		panic(fmt.Sprintf("no statement %q", name))
	}
	return text
}

// rendered returns the statements with their braces filled in for a table of
// the shape: another statement of that name, the table or a list of its columns (shape.go), or a
// column, which is null where the table has none. Mark is what a parameter's
// number follows.
func (s statements) rendered(l *layout, table shape, mark string) statements {
	lists := l.lists(table, mark)
	filled := make(statements, len(s))
	for name, text := range s {
		for strings.Contains(text, "{{") {
			before, rest, _ := strings.Cut(text, "{{")
			word, after, _ := strings.Cut(rest, "}}")
			text = before + s.fill(word, table, lists) + after
		}
		filled[name] = text
	}
	return filled
}

// readers are the statements by which entries are read.
var readers = []string{"entries", "entries_page", "entries_by_id", "sides", "meta", "calendar_days", "windows"}

// bare lets those that read entries find nothing in the tables of onebeat's own, where these are not there yet.
func (s statements) bare() {
	before, _ := strings.CutSuffix(s.get("own_nothing"), "SELECT 1")
	for _, name := range readers {
		if text, ok := s[name]; ok {
			s[name] = before + text
		}
	}
}

func (s statements) fill(word string, table shape, lists map[string]string) string {
	if text, ok := s[word]; ok {
		return text
	}
	if text, ok := lists[word]; ok {
		return text
	}
	if table.has(word) {
		return "s." + word
	}
	return "NULL"
}
