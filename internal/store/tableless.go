package store

import "context"

// noneLayout is that of a database that holds no entries: all come from sources.
var noneLayout = layout{name: "none", editor: "whoever keeps them"}

// A tableless is a database whose catalog has no table: statements about one do
// nothing.
type tableless struct {
	database
	about map[string]bool // the names of those statements
}

func newTableless(db database, dialect string) tableless {
	about := map[string]bool{}
	own := loadStatements(dialect, &noneLayout)
	for name := range loadStatements(dialect, &nativeLayout) {
		if _, ok := own[name]; !ok {
			about[name] = true
		}
	}
	return tableless{db, about}
}

func (t tableless) exec(ctx context.Context, name string, args ...any) (int64, error) {
	if t.about[name] {
		return 0, nil
	}
	return t.database.exec(ctx, name, args...)
}

func (t tableless) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	if t.about[name] {
		return nil
	}
	return t.database.each(ctx, name, row, args...)
}

// withoutTable makes the store one without a table.
func (s *Store) withoutTable() {
	s.db = newTableless(s.db, s.name)
	s.triggers = 0
	inner := s.newFeed
	s.newFeed = func() feed { return tablelessFeed{inner()} }
}

// A tablelessFeed tells of changes as another feed does, and has no rows.
type tablelessFeed struct{ feed }

func (tablelessFeed) all(context.Context, func(*row) error) error            { return nil }
func (tablelessFeed) written(context.Context) ([]string, int, error)         { return nil, 0, nil }
func (tablelessFeed) some(context.Context, []string, func(*row) error) error { return nil }
