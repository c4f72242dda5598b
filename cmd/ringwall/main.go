// Command ringwall is a SIP security edge: it stands between the internet and a VoIP platform. This package holds the
// verbs of the command line and puts the rooms together; nothing else imports them all.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

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
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if form := cmd.Flags().Lookup("output"); form != nil && form.Value.String() == "json" {
		tellJSON(stderr, err, code)
	} else {
		tell(stderr, err, code)
	}
	return code
}

// tell tells people what went wrong, and what to do.
func tell(stderr io.Writer, err error, code int) {
	var problems config.Errors
	if errors.As(err, &problems) {
		printProblems(stderr, problems)
		return
	}
	fmt.Fprintf(stderr, "ringwall: %v\n", err)
	switch {
	case errors.Is(err, errBare): // it has told
	case code == exitUsage:
		fmt.Fprintln(stderr, `Run "ringwall help" for the verbs, "ringwall VERB --help" for one of them.`)
	case errors.Is(err, admin.ErrUnreachable):
		fmt.Fprintln(stderr, "If it does run, name it: with the --config or --state that it was started with.")
	}
}

// tellJSON tells programs what went wrong, in one line: stdout holds what the verb found, stderr why it ended otherwise than with 0.
func tellJSON(stderr io.Writer, err error, code int) {
	said := struct {
		Error    string        `json:"error"`
		Exit     int           `json:"exit"`
		Problems config.Errors `json:"problems,omitempty"` // of a configuration
	}{Error: err.Error(), Exit: code}
	if errors.As(err, &said.Problems) {
		said.Error = count(len(said.Problems), "problem")
	}
	enc := json.NewEncoder(stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(said) // nobody is left to be told
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

		PersistentPreRunE: noEmptyPath,
	}
	root.AddCommand(newRun(), newCheck(), newFmt(), newReload(), newDrain(), newStatus(), newDoctor(), newTail(), newTrace(), newExplain(), newBans(), newBan(), newUnban(),
		newAllow(), newTrust(), newReplay(), newTopology(), newDemo(), newCalls(), newMan(), newVersion())
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
			cmd.Use, cmd.Short = "completion", "print a script that lets a shell complete verbs and flags"
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
	cmd.RunE = bare
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

// errBare: a verb that is nothing without one below it stands alone.
var errBare = errors.New("one of these verbs is wanted")

// bare is what such a verb does: a script that forgot a word learns that nothing was done.
func bare(cmd *cobra.Command, _ []string) error {
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return fail(exitFailure, err)
	}
	return errBare
}

// paths are the flags that name a file or a folder.
var paths = []string{"config", "state", "socket", "message", "key-file", "labels", "dir"}

// noEmptyPath refuses a path that is set to nothing, as by --state "$DIR" where DIR is not set: it does not mean the service of this machine.
func noEmptyPath(cmd *cobra.Command, _ []string) error {
	for _, name := range paths {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return fmt.Errorf("--%s is empty: name a path, or leave it out", name)
		}
	}
	return nil
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
	case errors.As(err, &keys), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
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
