package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A shape is the columns of the catalog's table as it was found, by name, with
// their types as the database calls them.
type shape map[string]string

func (t shape) has(column string) bool { return t[column] != "" }

// of returns those of the columns that the table has.
func (t shape) of(columns []string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(name string) bool { return !t.has(name) })
}

// without returns those of the columns that the table has not.
func (t shape) without(columns []string) []string {
	return slices.DeleteFunc(slices.Clone(columns), t.has)
}

// inserting returns the columns of a new row. An id that is a number is the
// database's to give.
func (l *layout) inserting(t shape) []string {
	names := t.of(l.inserted)
	if strings.Contains(t["id"], "int") {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "id" })
	}
	return names
}

// check says what the table lacks, as an error with what to do.
func (l *layout) check(t shape) error {
	if l.table == "" {
		return nil
	}
	if len(t) == 0 {
		return &TableError{fmt.Sprintf("there is no table %s: %s", l.table, l.whence)}
	}
	if missing := t.without(l.required); len(missing) > 0 {
		return &TableError{fmt.Sprintf("table %s has no column %s: it is not a table of schedules that onebeat knows", l.table, strings.Join(missing, ", "))}
	}
	return nil
}

// A TableError is a table of entries that is not there, or is none that onebeat can read.
type TableError struct{ Problem string }

func (e *TableError) Error() string { return e.Problem }

// lists are the words in braces that stand for several columns, or for a type.
func (l *layout) lists(t shape, mark string) map[string]string {
	watching, inserting, updating := t.of(l.watched), l.inserting(t), t.of(l.updated)
	schema := ""
	if l.schema != "" {
		schema = `"` + l.schema + `".`
	}
	return map[string]string{
		"id_as_is":        t.asIs("id"),
		"args_as_is":      t.asIs("args"),
		"kwargs_as_is":    t.asIs("kwargs"),
		"options_as_is":   t.asIs("options"),
		"rules_as_is":     t.asIs("rules"),
		"schema":          schema,
		"table":           l.table,
		"id_type":         cmp.Or(t["id"], "text"),
		"watched":         join(watching, func(_ int, name string) string { return name }),
		"old_watched":     join(watching, func(_ int, name string) string { return "old." + name }),
		"new_watched":     join(watching, func(_ int, name string) string { return "new." + name }),
		"inserted":        join(inserting, func(_ int, name string) string { return name }),
		"inserted_values": join(inserting, func(i int, _ string) string { return mark + strconv.Itoa(i+1) }),
		"updated":         join(updating, func(_ int, name string) string { return name }),
		"updated_pairs":   join(updating, func(i int, name string) string { return name + " = " + mark + strconv.Itoa(i+1) }),
		"updated_values":  join(updating, func(i int, _ string) string { return mark + strconv.Itoa(i+1) }),
		"updated_id":      mark + strconv.Itoa(len(updating)+1),
	}
}

// asIs is a column of PostgreSQL that is read as text: without a cast where the text of
// its type is what a cast would make.
func (t shape) asIs(column string) string {
	switch kind := t[column]; {
	case kind == "":
		return "NULL"
	case kind == "uuid" || strings.HasPrefix(kind, "json"):
		return "s." + column
	}
	return "s." + column + "::text"
}

func join(names []string, each func(i int, name string) string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = each(i, name)
	}
	return strings.Join(parts, ", ")
}

// readShape finds out which columns the catalog's table has.
func (l *layout) readShape(ctx context.Context, q querier) (shape, error) {
	table := shape{}
	err := q.each(ctx, "columns", func(row scanner) error {
		var name, kind string
		if err := row.Scan(&name, &kind); err != nil {
			return err
		}
		table[name] = cmp.Or(kind, "any")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", l.table, err)
	}
	return table, nil
}
