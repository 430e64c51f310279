package app

import (
	"errors"
	"slices"
	"strings"

	"github.com/onebeat/onebeat/internal/catalog/file"
	"github.com/onebeat/onebeat/internal/store"
)

// catalogsOf returns which tables of the database the entries are in, and their
// catalogs outside of it.
func catalogsOf(config Config) (table string, sources []store.Source, err error) {
	table = "none"
	for kind := range strings.SplitSeq(config.String("catalog"), ",") {
		switch {
		case slices.Contains(tables, kind):
			table = kind
		case kind == "file":
			if config.String("catalog-file") == "" {
				return "", nil, errors.New("no file of entries is named: give --catalog-file")
			}
			files, err := file.New(strings.Split(config.String("catalog-file"), ",")...)
			if err != nil {
				return "", nil, err
			}
			sources = append(sources, files)
		}
	}
	return table, sources, nil
}
