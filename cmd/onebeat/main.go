// Command onebeat sends Celery tasks when their schedules say so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celery"
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

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, complaints io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	answer, asJSON := &answered{Writer: out}, slices.Contains(args, "--json")
	if asJSON {
		root.SetOut(answer)
	}
	root.SetErr(complaints)
	verb, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var exit exitError
	if !errors.As(err, &exit) {
		exit = exitError{exitFailed, oneLine(err)}
	}
	if exit.msg != "" {
		complain(complaints, "onebeat: "+exit.msg)
		if asJSON && verb.Flags().Lookup("json") != nil && !answer.yet {
			_ = printJSON(out, map[string]string{"error": exit.msg})
		}
	}
	return exit.code
}

// complain prints a line, and waits until it is taken for a second at most: a process that is through must end, or nobody starts it anew.
func complain(to io.Writer, line string) {
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		fmt.Fprintln(to, line)
	}()
	select {
	case <-taken:
	case <-time.After(time.Second):
	}
}

// An answered writer knows whether anything was written yet: who asks for JSON gets some, whatever fails.
type answered struct {
	io.Writer
	yet bool
}

func (a *answered) Write(p []byte) (int, error) {
	a.yet = true
	return a.Writer.Write(p)
}

// rootCommand is the tree of all verbs.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "onebeat",
		Short: "Send Celery tasks when their schedules say so",
		Example: `  onebeat dev                       # everything embedded, to try it
  onebeat serve --config onebeat.yaml
  onebeat entries add hello --task demo.hello --spec "*/5 * * * *"`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return nil
		},
	}
	// cobra's own flag would bring text/template with it, and a third of the binary.
	version := root.Flags().Bool("version", false, "version for onebeat")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			return printVersion(cmd)
		}
		return cmd.Help()
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 { // whose flag it is
			return unknownVerb(cmd, cmd.Flags().Arg(0))
		}
		if unknown := new(pflag.NotExistError); errors.As(err, &unknown) {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			if near := celery.Near(unknown.GetSpecifiedName(), names); near != "" {
				return usage("%v: did you mean --%s?", err, near)
			}
			if cmd.HasSubCommands() {
				return usage("%v: flags stand behind the verb that has them: see %s --help", err, cmd.CommandPath())
			}
		}
		if wrong := new(pflag.InvalidValueError); errors.As(err, &wrong) {
			if give := map[string]string{"int": "a number", "bool": "true or false", "duration": "a length such as 90s, 12h or 7d"}[wrong.GetFlag().Value.Type()]; give != "" {
				return usage("--%s %s: give %s: see %s --help", wrong.GetFlag().Name, wrong.GetValue(), give, cmd.CommandPath())
			}
		}
		return usage("%v: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(devCommand(), serveCommand(), checkCommand(), migrateCommand(), entriesCommand(), calendarsCommand(), windowsCommand(), runsCommand(), auditCommand(), forecastCommand(), benchCommand(), importCommand(), shadowCommand(), handBackCommand(), explainCommand(), healthCommand(), nextCommand(), versionCommand())
	root.SetHelpCommand(helpCommand())
	foldHelp(root)
	return root
}

// unknownVerb is the error for a verb that cmd has not: the nearest it has, or
// where to look.
func unknownVerb(cmd *cobra.Command, name string) error {
	for distance := 1; distance <= 2; distance++ {
		cmd.SuggestionsMinimumDistance = distance
		if near := cmd.SuggestionsFor(name); len(near) > 0 {
			return usage("unknown verb %q: did you mean %s %s?", name, cmd.CommandPath(), near[0])
		}
	}
	return usage("unknown verb %q: see %s --help", name, cmd.CommandPath())
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Tell which onebeat this is", Example: "  onebeat version",
		Args: noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]string{"version": app.Version()})
		}
		return printVersion(cmd)
	}
	return cmd
}

func printVersion(cmd *cobra.Command) error {
	_, err := fmt.Fprintln(cmd.OutOrStdout(), "onebeat", app.Version())
	return err
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB]", Short: "Show the help of a verb", Example: "  onebeat help entries add",
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownVerb(verb, args[len(args)-len(rest)])
			}
			verb.InitDefaultHelpFlag()
			return verb.Help()
		},
	}
}
