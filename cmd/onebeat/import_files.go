package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/celeryapp"
)

// A filed is a file that an import writes.
type filed struct {
	Path string `json:"path"`
	Do   string `json:"do"` // write, or keep what is there and says the same
	text []byte
}

// importToFiles writes the application's entries and settings to the files that are
// named. One that is there and says something else is left, and nothing is written.
func importToFiles(cmd *cobra.Command, found celeryapp.App, entries, settings string, apply, asJSON bool) error {
	var files []filed
	for _, wanted := range []struct {
		path string
		text func() ([]byte, error)
	}{{entries, found.EntriesFile}, {settings, found.SettingsFile}} {
		if wanted.path == "" {
			continue
		}
		text, err := wanted.text()
		if err != nil {
			return err
		}
		f := filed{Path: wanted.path, Do: "write", text: text}
		there, err := os.ReadFile(f.Path)
		switch {
		case err == nil && bytes.Equal(there, text):
			f.Do = "keep"
		case err == nil:
			return usage("%s is there and says something else: remove it, or name another file", f.Path)
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
		files = append(files, f)
	}
	for _, f := range files {
		if apply && f.Do == "write" {
			if err := os.WriteFile(f.Path, f.text, 0o600); err != nil {
				return err
			}
		}
	}
	out := cmd.OutOrStdout()
	if asJSON {
		answer := map[string]any{"applied": apply, "files": files, "entries": len(found.Entries), "refused": orEmptyList(found.Refused)}
		if found.Workers != nil {
			answer["workers"] = found.Workers
		}
		return printJSON(out, answer)
	}
	printWorkers(out, found)
	for _, refused := range found.Refused {
		fmt.Fprintln(out, legible(fmt.Sprintf("refuse %s: %s", refused.Name, refused.Reason)))
	}
	for _, entry := range found.Entries {
		for _, remark := range entry.Remarks {
			fmt.Fprintln(out, legible(fmt.Sprintf("%s: %s", entry.Name, remark)))
		}
	}
	for _, f := range files {
		if !apply {
			fmt.Fprintf(out, "%s %s, which would say:\n\n%s\n", f.Do, f.Path, f.text)
		} else {
			fmt.Fprintf(out, "%s %s\n", f.Do, f.Path)
		}
	}
	if !apply {
		fmt.Fprintln(out, "Nothing was changed. With --apply the files are written.")
	}
	return nil
}
