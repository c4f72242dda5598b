package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
)

func newFmt() *cobra.Command {
	var write, differs bool
	cmd := &cobra.Command{
		Use:   "fmt FILE",
		Short: "put a configuration file in canonical order",
		Long: "fmt prints a configuration file with its sections in the order of the documentation, each with the comments above\n" +
			"it, and without superfluous blanks and empty lines; everything else stays as it is written. It makes sure that the\n" +
			"result means the same and has every comment, or refuses. A file with mistakes is refused with 78, as by check.",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the result to the file instead of printing it")
	cmd.Flags().BoolVarP(&differs, "diff", "d", false, "print nothing, exit 1 if the file is in another form")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if write && differs {
			return errors.New("--write and --diff exclude one another")
		}
		return verb(func(cmd *cobra.Command, args []string) error { return format(cmd, args[0], write, differs) })(cmd, args)
	}
	return cmd
}

func format(cmd *cobra.Command, file string, write, differs bool) error {
	if _, err := loadFile(file); err != nil {
		return err
	}
	was, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	is, err := config.Format(file, was)
	switch {
	case err != nil && !errors.As(err, new(config.Errors)):
		return fmt.Errorf("%s %w", file, err)
	case err != nil:
		return err
	case differs && !bytes.Equal(was, is):
		return fmt.Errorf("%s is not in canonical form: run ringwall fmt -w %s", file, file)
	case differs || write && bytes.Equal(was, is):
		return nil
	case write:
		return replaced(file, replace(file, is))
	}
	_, err = cmd.OutOrStdout().Write(is)
	return err
}

// replaced says of err, if it is one, which file could not be written, not which new one beside it.
func replaced(file string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if err != nil {
		return fmt.Errorf("cannot write %s anew, in the same folder: %w", file, err)
	}
	return nil
}

// replace puts text in place of file's content at once, keeping its owner and mode. A reader sees the old content or the new.
func replace(file string, text []byte) error {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(dress(next, info), writeAll(next, text), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}

// dress gives f the owner and mode of info.
func dress(f *os.File, info fs.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(info.Mode().Perm())
}

func writeAll(f *os.File, text []byte) error {
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}
