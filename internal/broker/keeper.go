package broker

import "context"

// A Keeper is a broker that may be set to forget messages.
type Keeper interface {
	// Forgets returns in words when the broker forgets messages by its settings, and what to do:
	// when it starts anew, and while it works. Each is empty where it does not, or does not tell.
	Forgets(ctx context.Context) (anew, working string, err error)
}

// KeeperOf returns the broker as a Keeper, or nil: others keep what they have taken.
func KeeperOf(b Broker) Keeper {
	keeper, _ := adapterOf(b).(Keeper)
	return keeper
}
