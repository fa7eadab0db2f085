package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// TestSecretsAppearNowhere searches the log, the Events, the objects and the metrics of the
// operator for each secret of a stack, also after failures that concern credentials.
func TestSecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	const wrong = "planted-9f2c81d4-wrong-password"
	for _, admin := range []struct{ secret, condition string }{
		{"mysql-admin", v1alpha1.ConditionDatabaseReady}, {"rabbitmq-admin", v1alpha1.ConditionBrokerReady},
	} {
		right := f.setPassword(t, admin.secret, wrong)
		f.waitForReason(t, admin.condition, reasonAccessDenied)
		f.setPassword(t, admin.secret, right)
	}
	f.exec(t, "ALTER USER '"+f.value(t, "sales-mysql", "username")+"'@'%' IDENTIFIED BY '"+wrong+"'")
	f.waitForEvent(t, driftHealed.reason, "set the password of account")
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	places := f.visibleTexts(t)
	secrets := f.secretValues(t)
	secrets["the wrong password"] = wrong
	if len(secrets) < 20 {
		t.Errorf("%d secrets, want those of all accounts and keys", len(secrets))
	}
	for place, text := range places {
		if text == "" {
			t.Errorf("%s is empty", place)
		}
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s contains %s", place, name)
			}
		}
	}
}

// setPassword replaces a password that the stack refers to, and returns the former one.
func (f *fixture) setPassword(t *testing.T, name, password string) string {
	t.Helper()
	secret := &corev1.Secret{}
	var before string
	f.change(t, name, secret, func() { before = string(secret.Data["password"]); secret.Data["password"] = []byte(password) })
	return before
}

func (f *fixture) waitForReason(t *testing.T, condition, reason string) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		for _, c := range f.live(t).Status.Conditions {
			if c.Type == condition && c.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("%s has not the reason %s", condition, reason)
	})
}

// secretValues returns what must stay secret, by the place where it is stored. User names and
// the ids of keys are no secrets.
func (f *fixture) secretValues(t *testing.T) map[string]string {
	t.Helper()
	list := &corev1.SecretList{}
	if err := api.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, secret := range list.Items {
		for key, value := range secret.Data {
			name := secret.Name + "/" + key
			switch key {
			case "password", "dsn", "url":
				values[name] = string(value)
			case "jwks.json":
				var set struct{ Keys []map[string]any }
				if err := json.Unmarshal(value, &set); err != nil {
					t.Fatal(err)
				}
				for i, jwk := range set.Keys {
					values[fmt.Sprintf("%s of key %d", name, i)] = jwk["k"].(string)
				}
			}
		}
	}
	return values
}

// visibleTexts returns what people without access to Secrets may read.
func (f *fixture) visibleTexts(t *testing.T) map[string]string {
	t.Helper()
	log, err := os.ReadFile(logName)
	if err != nil {
		t.Fatal(err)
	}
	gathered, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"the log": string(log), "metrics": fmt.Sprint(gathered)}
	for name, list := range map[string]client.ObjectList{
		"stacks": &v1alpha1.ECommerceStackList{}, "Events": &eventsv1.EventList{}, "Deployments": &appsv1.DeploymentList{},
		"Services": &corev1.ServiceList{},
	} {
		if err := api.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(encoded)
	}
	return texts
}
