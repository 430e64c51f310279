package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Table is the user's table.
const Table = "celery_beat_schedules"

// A shape is the columns of the user's table as it was found, by name, with
// their types as the database calls them.
type shape map[string]string

func (t shape) has(column string) bool { return t[column] != "" }

func (t shape) idType() string { return cmp.Or(t["id"], "text") }

// required are the columns without which a table can't be read.
var required = []string{"id", "name", "task_name", "cron_expression", "enabled", "args", "kwargs", "created_at"}

// check says what the table lacks, as an error with what to do.
func (t shape) check() error {
	if len(t) == 0 {
		return fmt.Errorf("there is no table %s: run `onebeat migrate` to make it", Table)
	}
	missing := slices.DeleteFunc(slices.Clone(required), t.has)
	if len(missing) > 0 {
		return fmt.Errorf("table %s has no column %s: run `onebeat migrate` to add it", Table, strings.Join(missing, ", "))
	}
	return nil
}

// readShape finds out which columns the user's table has.
func readShape(ctx context.Context, q querier) (shape, error) {
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
		return nil, fmt.Errorf("read columns of %s: %w", Table, err)
	}
	return table, nil
}
