/*
Copyright 2026 The remotejob-operator Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package serving

import "fmt"

// Protection is what keeps strangers from a server that other machines can reach.
type Protection struct {
	// TLS is set where connections are encrypted.
	TLS bool
	// Asks is set where callers have to show who they are.
	Asks bool
}

// Check refuses addresses that other machines can reach unless callers there have to show who they are. flags says by what that can be
// had, anyway what lifts the refusal.
func (p Protection) Check(addresses []Address, flags, anyway string) error {
	for _, address := range addresses {
		switch {
		case address.Local() || p.Asks:
		case p.TLS:
			return fmt.Errorf("nothing listens at %s: other machines could reach it, and TLS alone asks nobody who they are; add %s, or use a loopback address or unix:///path (%s lifts this)", address, flags, anyway)
		default:
			return fmt.Errorf("nothing listens at %s: other machines could reach it, and it asks nobody who they are; use a loopback address or unix:///path, or TLS and %s (%s lifts this)", address, flags, anyway)
		}
	}
	return nil
}
