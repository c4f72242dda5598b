// Command ringwall is a SIP security edge: it stands between the internet and a VoIP platform. This package holds the
// verbs of the command line and puts the rooms together; nothing else imports them all.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/seal"
)

// Exit codes, after sysexits(3): a service manager must not restart on 2, 77 and 78.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitUnavailable = 69 // a service that is needed cannot be reached
	exitPermission  = 77
	exitConfig      = 78
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs one command line and returns the exit code. What goes wrong is told on stderr.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	var problems config.Errors
	if errors.As(err, &problems) {
		printProblems(stderr, problems)
		return code
	}
	fmt.Fprintf(stderr, "ringwall: %v\n", err)
	switch {
	case code == exitUsage:
		fmt.Fprintln(stderr, `Run "ringwall help" for the verbs, "ringwall VERB --help" for one of them.`)
	case errors.Is(err, admin.ErrUnreachable):
		fmt.Fprintln(stderr, "If it does run, name it: with the --config or --state that it was started with.")
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ringwall",
		Short:         "SIP security edge",
		Long:          "ringwall stands between the internet and a VoIP platform: phones register and call through it.",
		Args:          cobra.NoArgs,
		Version:       versionLine(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newRun(), newCheck(), newFmt(), newReload(), newDrain(), newStatus(), newDoctor(), newTail(), newTrace(), newExplain(), newBans(), newBan(), newUnban(),
		newAllow(), newTrust(), newReplay(), newTopology(), newDemo(), newCalls(), newVersion())
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { // an unknown flag of an unknown verb is not what is wrong
		if cmd.HasSubCommands() {
			return cmp.Or(cmd.ValidateArgs(cmd.Flags().Args()), err)
		}
		return err
	})
	strictHelp(root)
	helpful(root)
	return root
}

// strictHelp makes cobra's own verbs, help and completion, refuse what they know nothing of, as all others do.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Use, cmd.Short = "help [VERB]", "tell how a verb is used"
			cmd.Args = func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err == nil && len(rest) > 0 {
					err = fmt.Errorf("%q is no verb of %s", rest[0], about.CommandPath())
				}
				return err
			}
		case "completion":
			cmd.Use, cmd.Short = "completion [SHELL]", "print a script that lets a shell complete verbs and flags"
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// helpful lets cmd and the verbs below it say which verb may have been meant where there is none of that name, and what a verb wants that got
// something else.
func helpful(cmd *cobra.Command) {
	if !cmd.HasSubCommands() {
		asked := cmd.Args
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := asked(cmd, args)
			switch {
			case err == nil || cmd.Name() == "help":
				return err
			case len(args) == 0:
				return fmt.Errorf("more is wanted: %s", cmd.UseLine())
			}
			return fmt.Errorf("got %q where this is wanted: %s", args, cmd.UseLine())
		}
		return
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := cobra.NoArgs(cmd, args)
		if err == nil {
			return nil
		}
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			return fmt.Errorf("%w: did you mean %s?", err, strings.Join(like, " or "))
		}
		return err
	}
	for _, sub := range cmd.Commands() {
		helpful(sub)
	}
}

// A failure is an error that a verb met while it worked, with the exit code it deserves. Errors that are no failure come
// from reading the command line.
type failure struct {
	code int
	err  error
}

// Error returns the message of the error inside.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the error inside.
func (f *failure) Unwrap() error { return f.err }

// fail makes err a failure with this exit code; nil stays nil.
func fail(code int, err error) error {
	if err == nil {
		return nil
	}
	return &failure{code, err}
}

// exitCode finds the exit code of what execute got.
func exitCode(err error) int {
	var f *failure
	if !errors.As(err, &f) {
		return exitUsage
	}
	var keys *seal.PermissionError
	switch {
	case f.code != exitFailure:
		return f.code
	case errors.As(err, new(config.Errors)):
		return exitConfig
	case errors.Is(err, admin.ErrUnreachable):
		return exitUnavailable
	case errors.As(err, &keys), errors.Is(err, fs.ErrPermission):
		return exitPermission
	}
	return exitFailure
}

// verb adapts the work of a verb to cobra: what goes wrong in it is a failure, not bad usage.
func verb(work func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return failed(work(cmd, args))
	}
}

// failed makes err a failure, unless it is one already or nil.
func failed(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	return fail(exitFailure, err)
}
