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

package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	tokenwebhook "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

const (
	// tokenFor, allowFor and denyFor are how long what the API server said is taken for what it would say.
	tokenFor = time.Minute
	allowFor = time.Minute
	denyFor  = 10 * time.Second
	// staleFor is how long it is while the API server is away: a node whose pings are refused is given up after some minutes, though
	// its pods run.
	staleFor = time.Hour
	// reviewTimeout bounds one question.
	reviewTimeout = 10 * time.Second
	// outlast is how long a call that is never made again waits for the API server, as the ledger does.
	outlast = 100 * time.Second
)

// Reviewer asks the API server whose a token is (TokenReview), and whether its owner may call (SubjectAccessReview: the method, in small
// letters, of a path that is no resource's).
type Reviewer struct {
	tokens    authenticator.Token
	access    authorizer.Authorizer
	audiences authenticator.Audiences
	// seen are the times at which calls were last allowed, and seenTokens those at which tokens were last found good.
	seen, seenTokens *lru.Cache
}

// NewReviewer returns a Reviewer. Where audiences are given, tokens must be for one of them.
func NewReviewer(config *rest.Config, client *http.Client, audiences []string) (*Reviewer, error) {
	authentication, err := authenticationv1.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("reach token reviews: %w", err)
	}
	authorization, err := authorizationv1.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("reach subject access reviews: %w", err)
	}
	backoff := wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 2}
	tokens, err := tokenwebhook.NewFromInterface(authentication, nil, backoff, reviewTimeout, tokenwebhook.AuthenticatorMetrics{
		RecordRequestTotal: func(context.Context, string) {}, RecordRequestLatency: func(context.Context, string, float64) {},
	})
	if err != nil {
		return nil, err
	}
	access, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: authorization, AllowCacheTTL: allowFor, DenyCacheTTL: denyFor, WebhookRetryBackoff: &backoff,
	}.New()
	if err != nil {
		return nil, err
	}
	return &Reviewer{
		tokens: tokencache.New(tokens, false, tokenFor, denyFor), access: access, audiences: audiences,
		seen: lru.New(maxClients), seenTokens: lru.New(maxClients),
	}, nil
}

// allowed is a call that was allowed.
type allowed struct {
	token        [sha256.Size]byte
	method, path string
}

// knows tells whether a token was found good lately.
func (v *Reviewer) knows(token string) bool {
	return within(v.seenTokens, sha256.Sum256([]byte(token)))
}

func within(seen *lru.Cache, key lru.Key) bool {
	at, ok := seen.Get(key)
	return ok && time.Since(at.(time.Time)) < staleFor
}

// review returns the name of the user who calls. While the API server is away, what it allowed lately is allowed.
func (v *Reviewer) review(r *http.Request, token string) (string, error) {
	call := allowed{token: sha256.Sum256([]byte(token)), method: r.Method, path: r.URL.Path}
	for deadline := time.Now().Add(outlast); ; {
		user, away, err := v.ask(r, token)
		switch {
		case err == nil:
			v.seen.Add(call, time.Now())
			v.seenTokens.Add(call.token, time.Now())
			return user, nil
		case !away:
			v.seen.Remove(call)
			return "", err
		case within(v.seen, call):
			return "known before", nil
		}
		log.FromContext(r.Context()).V(1).Info("the API server can't be asked about a token", "cause", err.Error())
		if !persistent(r) || time.Now().After(deadline) || pause(r.Context(), time.Second) != nil {
			return "", &pluginapi.Denied{
				Code: http.StatusServiceUnavailable, Reason: "ReviewUnavailable",
				Message: "the API server can't be asked now who the caller is",
			}
		}
	}
}

// ask asks once. away means that there was no answer.
func (v *Reviewer) ask(r *http.Request, token string) (user string, away bool, err error) {
	ctx := r.Context()
	if len(v.audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, v.audiences)
	}
	who, known, err := v.tokens.AuthenticateToken(ctx, token)
	switch {
	case unanswered(err):
		return "", true, err
	case err != nil || !known:
		v.seenTokens.Remove(sha256.Sum256([]byte(token)))
		return "", false, unauthorized("the API server does not know the bearer token")
	}
	verb := strings.ToLower(r.Method)
	decision, _, err := v.access.Authorize(ctx, authorizer.AttributesRecord{User: who.User, Verb: verb, Path: r.URL.Path})
	switch {
	case err != nil:
		return "", true, err
	case decision != authorizer.DecisionAllow:
		return "", false, forbidden("the user %.200q may not %s %s: a ClusterRole with that nonResourceURL lets users call", who.User.GetName(), verb, r.URL.Path)
	}
	return who.User.GetName(), false, nil
}

// unanswered tells a question that was not answered from one whose answer is no.
func unanswered(err error) bool {
	var (
		status apierrors.APIStatus
		way    *url.Error
	)
	return errors.As(err, &status) || errors.As(err, &way) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
