package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/login"
)

// A flag is a setting given on the command line. Its value is text until
// app.Load checks it with all the others.
type flag struct{ value, kind string }

func (f *flag) String() string         { return f.value }
func (f *flag) Set(value string) error { f.value = value; return nil }
func (f *flag) Type() string           { return f.kind }

// settingFlags gives cmd the flags of the settings that it wants, after its own.
func settingFlags(cmd *cobra.Command, wants func(app.Setting) bool) {
	cmd.Flags().SortFlags = false
	for _, s := range app.Settings {
		if !wants(s) {
			continue
		}
		help := strings.ReplaceAll(s.Help, "`", "") + " [" + strings.Join(append([]string{s.Env()}, s.Also...), ", ") + "]"
		cmd.Flags().Var(&flag{s.Default, s.Kind}, s.Name, help)
		if s.Kind == "bool" {
			cmd.Flags().Lookup(s.Name).NoOptDefVal = "true"
		}
	}
}

// What verbs want of the settings: the daemon all, a verb with a database those
// that say what is in it.
func ofDaemon(app.Setting) bool     { return true }
func ofDatabase(s app.Setting) bool { return !s.Serve }

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
func oneLine(err error) string { return login.OneLine(err).Error() }
