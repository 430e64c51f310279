package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
)

// settingFlags gives cmd the flags of the settings table: all of them for the
// daemon, else those that every verb with a database needs.
func settingFlags(cmd *cobra.Command, daemon bool) {
	for _, s := range app.Settings {
		if s.Serve && !daemon {
			continue
		}
		help := s.Help + " [" + strings.Join(append([]string{s.Env()}, s.Also...), ", ") + "]"
		cmd.Flags().String(s.Name, s.Default, help)
		if s.Default == "false" {
			cmd.Flags().Lookup(s.Name).NoOptDefVal = "true"
		}
	}
}

// settings reads the settings for cmd: its flags, the environment, the file.
func settings(cmd *cobra.Command) (app.Config, error) {
	given := map[string]string{}
	for _, s := range app.Settings {
		if flag := cmd.Flags().Lookup(s.Name); flag != nil && flag.Changed {
			given[s.Name] = flag.Value.String()
		}
	}
	config, err := app.Load(given, os.Getenv, os.Environ())
	if err != nil {
		return config, usage("%s", oneLine(err))
	}
	return config, nil
}

// oneLine joins faults that were reported together into one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
