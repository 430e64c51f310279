// Command onebeat sends Celery tasks when their schedules say so.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	_ "time/tzdata" // zones do not depend on the machine

	"github.com/spf13/cobra"
)

// The exit codes. A verb returns an exitError for the last two.
const (
	exitFailed = 1
	exitUsage  = 2 // wrong usage: nothing was changed
	exitNo     = 3 // the answer is "no": check, health
)

// An exitError ends the process with its code. An empty message prints nothing.
type exitError struct {
	code int
	msg  string
}

func (e exitError) Error() string { return e.msg }

// usage returns the error for wrong usage, in one line: what is wrong and what to do.
func usage(format string, args ...any) error {
	return exitError{exitUsage, fmt.Sprintf(format, args...)}
}

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:           "onebeat",
		Short:         "Send Celery tasks when their schedules say so",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(devCommand(), serveCommand(), checkCommand(), migrateCommand(), entriesCommand(), runsCommand(), healthCommand(), nextCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit exitError
	if !errors.As(err, &exit) {
		exit = exitError{exitFailed, err.Error()}
	}
	if exit.msg != "" {
		fmt.Fprintln(os.Stderr, "onebeat: "+exit.msg)
	}
	return exit.code
}
