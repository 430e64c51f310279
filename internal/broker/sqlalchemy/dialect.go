package sqlalchemy

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed sql
var files embed.FS

// statements are the SQL texts of a dialect by name, with their braces filled in
// but for those of message_insert.
type statements struct {
	texts    map[string]string
	numbered bool // $1 in place of ?
}

// A tables names kombu's two tables.
type tables struct{ queue, message string }

// load reads the statements of a dialect. MariaDB has those of MySQL, but for its own.
func load(dialect string, names tables) statements {
	s := statements{texts: map[string]string{}, numbered: dialect == postgres}
	folders := []string{dialect}
	if dialect == mariadb {
		folders = []string{mysqldb, mariadb}
	}
	quote := `"`
	if dialect == mysqldb || dialect == mariadb {
		quote = "`"
	}
	quoted := func(name string) string { return quote + strings.ReplaceAll(name, quote, quote+quote) + quote }
	fill := strings.NewReplacer(
		"{{queue}}", quoted(names.queue), "{{message}}", quoted(names.message),
		"{{index_timestamp}}", quoted("ix_"+names.message+"_timestamp"), "{{index_visible}}", quoted("ix_"+names.message+"_visible"),
	)
	for _, folder := range folders {
		found, err := fs.Glob(files, path.Join("sql", folder, "*.sql"))
		if err != nil {
			panic(err) // the pattern is constant
		}
		for _, file := range found {
			text, err := fs.ReadFile(files, file)
			if err != nil {
				panic(err) // it was just listed
			}
			s.texts[strings.TrimSuffix(path.Base(file), ".sql")] = fill.Replace(withoutHeader(string(text)))
		}
	}
	return s
}

// withoutHeader leaves out the comment lines that a file begins with.
func withoutHeader(text string) string {
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return strings.TrimSpace(text)
}

// get returns a statement as the database's driver takes it.
func (s statements) get(name string) string {
	text, ok := s.texts[name]
	if !ok {
		panic(fmt.Sprintf("no statement %q", name)) // the tests prove each
	}
	return s.bind(text)
}

// insert is message_insert for a number of messages.
func (s statements) insert(rows int) string {
	text := strings.Replace(s.texts["message_insert"], "{{message_columns}}", s.texts["message_columns"], 1)
	return s.bind(strings.Replace(text, "{{rows}}", strings.Repeat(s.texts["row"]+", ", rows-1)+s.texts["row"], 1))
}

// creation are the statements that make kombu's tables, in order.
func (s statements) creation() []string {
	var names []string
	for name := range s.texts {
		if strings.HasPrefix(name, "create_") && name != "create_marks" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// bind numbers the parameters where the dialect wants that. No statement has a
// question mark but as a parameter.
func (s statements) bind(text string) string {
	if !s.numbered {
		return text
	}
	var b strings.Builder
	for i, part := range strings.Split(text, "?") {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}
