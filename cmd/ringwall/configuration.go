package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ringwall/ringwall/config"
)

// defaultConfig is the file that is read when none is named. `ringwall run` does without it; see load.
const defaultConfig = "/etc/ringwall/ringwall.yaml"

// load reads the configuration: the file at path, else the default file if there is one, else the defaults; and lays the
// flags over it.
func load(path string, flags config.Overrides) (*config.Config, error) {
	cfg, err := loadFile(path)
	if err != nil {
		return nil, err
	}
	if err := cfg.Override(flags); err != nil {
		return nil, err
	}
	return cfg, nil
}

func loadFile(path string) (*config.Config, error) { return readFile(path, config.Load) }

// readFile reads the file at path, or the default one, by read.
func readFile(path string, read func(string) (*config.Config, error)) (*config.Config, error) {
	if path == "" {
		if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
			return config.Default(), nil
		}
		path = defaultConfig
	}
	cfg, err := read(path)
	switch {
	case err == nil:
		return cfg, nil
	case errors.As(err, new(config.Errors)):
		return cfg, err
	case errors.Is(err, fs.ErrPermission):
		return nil, fail(exitPermission, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(exitConfig, fmt.Errorf("there is no configuration file %s", path))
	}
	return nil, fail(exitConfig, err)
}
