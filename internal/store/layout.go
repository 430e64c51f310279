package store

import (
	"fmt"
	"regexp"
)

// A layout is in which tables a kind of catalog keeps its entries, and how a row
// of them is read. Its statements are in a folder of its name below each dialect's.
type layout struct {
	name  string
	table string // whose rows are the entries

	// schema is where the tables are, on PostgreSQL; empty for where the connection
	// looks. Movable says that they may be in one.
	schema  string
	movable bool

	// whence says what to do where there is no such table.
	whence string

	// editor says who edits entries where onebeat does not; empty where it does.
	editor string

	// required are the columns without which a table can't be read, and added those
	// that Migrate adds where they are missing.
	required, added []string

	// updated are the columns that an edit writes, and inserted those of a new row:
	// of some shapes a program is to fill in columns that mean nothing to onebeat.
	updated, inserted []string

	// watched are the columns whose change is a change of the entry.
	watched []string

	// children name the triggers beyond those of the table: of the tables that its
	// rows refer to.
	children []string

	// overwritten says that other programs save rows whole, as they read them a while
	// ago. So the last sent slot is remembered beside the row too.
	overwritten bool

	// marks says that the models move a mark with each edit, which the statement mark reads, and
	// that a run may disable a row, of which the statement row_mark tells others.
	marks bool

	// clocks are what the columns of instants hold, and ahead says that statements that
	// write now are told how far a clock of the columns is ahead of UTC.
	clocks clocks
	ahead  bool

	// apart says that all rows may be read without what is remembered of them, by the statement entries_alone:
	// that needs no more than remembered has.
	apart bool

	// scan reads the columns of the statement entries and leaves the rest after them.
	scan func(r *row, from scanner, rest int) error
}

// layouts are the kinds of catalog by name: Options.Catalog.
var layouts = map[string]*layout{
	nativeLayout.name: &nativeLayout, djangoLayout.name: &djangoLayout, sqlalchemyLayout.name: &sqlalchemyLayout,
	noneLayout.name: &noneLayout,
}

func layoutOf(name string) (*layout, error) {
	if name == "" {
		return &nativeLayout, nil
	}
	l, ok := layouts[name]
	if !ok {
		return nil, fmt.Errorf("there is no catalog %q", name)
	}
	return l, nil
}

// in is the layout with its tables in a schema.
func (l *layout) in(schema string) (*layout, error) {
	switch {
	case schema == "":
		return l, nil
	case !l.movable:
		return nil, fmt.Errorf("beat-schema is %q, but the tables of the catalog %s are in none: leave it away", schema, l.name)
	case !SchemaName.MatchString(schema):
		return nil, fmt.Errorf("beat-schema is %q: write letters, digits and underscores", schema)
	}
	moved := *l
	moved.schema, moved.table = schema, schema+"."+l.table
	return &moved, nil
}

// SchemaName are the names of schemas that Options.Schema takes.
var SchemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// triggers are the statements that install the triggers of these names and of the
// children, each anew.
func (l *layout) triggers(names ...string) []string {
	names = append(names, l.children...)
	steps := make([]string, 0, 2*len(names))
	for _, name := range names {
		steps = append(steps, "drop_trigger_"+name)
	}
	for _, name := range names {
		steps = append(steps, "trigger_"+name)
	}
	return steps
}

// Table is the table of the native catalog.
const Table = "celery_beat_schedules"

// definitionColumns are what a person writes of an entry, in the native catalog.
var definitionColumns = []string{
	"name", "task_name", "cron_expression", "enabled", "args", "kwargs", "description", "options", "timezone", "rules",
	"misfire_policy", "misfire_grace_seconds", "misfire_max_count", "misfire_max_age_seconds", "updated_at",
}

// nativeLayout is celery_beat_schedules in every shape it is found in.
var nativeLayout = layout{
	name:     "native",
	table:    Table,
	whence:   "run `onebeat migrate --catalog native` to make it, or choose another catalog",
	required: []string{"id", "name", "task_name", "cron_expression", "enabled", "args", "kwargs", "created_at"},
	added: []string{
		"last_run_at", "total_run_count", "options", "timezone", "rules",
		"misfire_policy", "misfire_grace_seconds", "misfire_max_count", "misfire_max_age_seconds",
	},
	updated:  definitionColumns,
	inserted: append([]string{"id", "created_at", "tags", "execution_policy", "auto_generated_name"}, definitionColumns...),
	watched: []string{
		"id", "name", "task_name", "cron_expression", "enabled", "args", "kwargs", "created_at", "options", "timezone", "rules",
		"misfire_policy", "misfire_grace_seconds", "misfire_max_count", "misfire_max_age_seconds",
	},
	apart: true,
	scan:  (*row).scan,
}
