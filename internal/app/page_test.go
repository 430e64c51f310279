package app

import (
	"slices"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/web"
)

// The page asks for runs by the states that there are.
func TestThePageKnowsTheStates(t *testing.T) {
	var states []string
	for _, state := range schedule.States {
		states = append(states, string(state))
	}
	if !slices.Equal(states, web.States) {
		t.Errorf("the page knows the states %v, slots end as %v", web.States, states)
	}
}
