package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ownTables are the tables of onebeat's own: those of the migrations, and goose's.
var ownTables = []string{
	"onebeat_journal", "onebeat_requests", "onebeat_changes", "onebeat_entries", "onebeat_runs", "onebeat_calendars", "onebeat_windows",
	"onebeat_leases", "onebeat_nodes", "onebeat_meta", "onebeat_parts", ownVersion,
}

// Uninstalling are the statements that Uninstall would run, in order.
func (s *Store) Uninstalling(whole bool) []string {
	filled := s.texts.rendered(s.layout, s.shape(), "")
	var texts []string
	for _, name := range s.removal(whole) {
		texts = append(texts, filled.get(name))
	}
	return texts
}

// Uninstall takes away the triggers of the catalog that Migrate made, and what they call, or,
// if whole, those of all catalogs and onebeat's own tables with them. What other
// programs made stays as it is, and so do columns that Migrate has added. No node may run if all goes, nor may
// slots be claimed and not recorded: either is an *InputError. It may be called again.
func (s *Store) Uninstall(ctx context.Context, whole bool) (err error) {
	if whole {
		var free func()
		if free, err = s.stopped(ctx); err != nil {
			return err
		}
		defer func() {
			if err == nil && s.sweep != nil {
				s.sweep()
			}
		}()
		defer free() // fails once its table is gone: then there is none to give up
	}
	err = s.db.transact(ctx, mode{}, func(tx transaction) error {
		for _, name := range slices.Concat(s.patience, s.removal(whole)) {
			if _, err := tx.exec(ctx, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	return nil
}

// removal are the names of the statements.
func (s *Store) removal(whole bool) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(layouts)) {
		if l := layouts[name]; l.table != "" && (whole || name == s.layout.name) {
			for _, drop := range s.drops(l) {
				names = append(names, name+"/"+drop)
			}
		}
	}
	if !whole {
		return names
	}
	for _, table := range ownTables {
		if name := "own_drop/" + table; s.texts[name] != "" {
			names = append(names, name)
		}
	}
	if _, ok := s.texts["own_drop_function"]; ok {
		names = append(names, "own_drop_function")
	}
	return names
}

// dropTriggers are the statements that take away the triggers of these names and of the
// layout's children.
func dropTriggers(names ...string) func(*layout) []string {
	return func(l *layout) (drops []string) {
		for _, name := range slices.Concat(names, l.children) {
			drops = append(drops, "drop_trigger_"+name)
		}
		return drops
	}
}

// stopped takes the lease, so that no node works meanwhile, if there is one to take, and
// returns what gives it up.
func (s *Store) stopped(ctx context.Context) (free func(), err error) {
	there := 0
	if err := s.db.each(ctx, "own_tables", func(row scanner) error { return row.Scan(&there) }); err != nil || there == 0 {
		return func() {}, err
	}
	_, free, err = s.alone(ctx, "uninstall")
	return free, err
}

// removals adds statements under names with a slash: those of every layout that take its triggers
// away, and one for each of onebeat's own tables.
func (s statements) removals(dialect string) {
	for name, l := range layouts {
		for drop, text := range loadFolder(dialect, l.name) {
			if strings.HasPrefix(drop, "drop_") {
				s[name+"/"+drop] = text
			}
		}
	}
	for _, table := range ownTables {
		s["own_drop/"+table] = strings.ReplaceAll(s["own_drop"], "{{own_table}}", table)
	}
	delete(s, "own_drop")
}
