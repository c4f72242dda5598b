package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// tokenLife is how long tokens verify at least after the key that made them was replaced.
const tokenLife = 30 * 24 * time.Hour

// rotated is the answer to the verb rotate on the control socket. Its names are stable.
type rotated struct {
	Key     string    `json:"key"` // id of the key that seals now: the first character of its tokens
	Created time.Time `json:"created"`
	File    string    `json:"file"`
}

// rotateOrder is what the verb rotate takes.
type rotateOrder struct{ change }

func newTopology() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "keys of topology hiding",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newRotate())
	return cmd
}

func newRotate() *cobra.Command {
	var of target
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "seal tokens with a new key from now on",
		Long: "rotate lets the running service make a new key for its tokens and write it to the key file. Tokens of older keys verify\n" +
			"for 30 days more at least, and dialogs keep the Call-ID that they began with: no call is lost. Other nodes that hold a copy\n" +
			"of the key file need the new one and `ringwall reload`; give it to them first thing, for they do not know tokens of the new\n" +
			"key until then. The key file holds 8 keys, so an eighth rotation within 30 days is refused.",
		Args: cobra.NoArgs,
	}
	var order rotateOrder
	of.flags(cmd)
	order.flags(cmd, "log")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		var r rotated
		if err := of.call(cmd.Context(), "rotate", order, &r); err != nil {
			return err
		}
		return order.say(cmd.OutOrStdout(), "key %s seals from now on; %s holds it and the older ones", "key %s seals now; %s would get a new one", r.Key, r.File)
	})
	return cmd
}

// rotate answers the verb of that name: it makes a new key, unless that would drop one whose tokens are still promised to verify.
func (s *service) rotate(order rotateOrder) (rotated, error) {
	now := time.Now()
	if free := s.keys.Free(tokenLife); free.After(now) {
		return rotated{}, fmt.Errorf("the key file is full, and its oldest key made tokens that verify until %s: rotate again after that", day(free))
	}
	if !order.Dry {
		if err := s.keys.Rotate(now); err != nil {
			return rotated{}, err
		}
	}
	id, created := s.keys.Active()
	file := s.settings.Load().cfg.Topology.KeyFile
	if !order.Dry {
		s.log.Info("keys rotated", "event", "topology", "key", string(rune(id)), "file", file, "why", order.Text)
	}
	return rotated{string(rune(id)), created, file}, nil
}
