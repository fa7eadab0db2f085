// Package manager logs in as the manager of a stack.
package manager

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"ecommerce-stack.dev/hack/internal/client"
)

// Flags are the command-line flags of programs that log in as the manager.
type Flags struct {
	URL       string `help:"Address of the gateway." env:"GATEWAY_URL" default:"http://localhost:5001"`
	Email     string `help:"The manager's email; read from the Secret otherwise." env:"MANAGER_EMAIL"`
	Password  string `help:"The manager's password; read from the Secret otherwise." env:"MANAGER_PASSWORD"`
	Namespace string `help:"Namespace of the stack." env:"NAMESPACE" default:"shop"`
	Stack     string `help:"Name of the stack." env:"STACK" default:"demo"`
}

// Login logs in as the manager, and returns the email of the account.
func (f Flags) Login(ctx context.Context, api *client.Client) (user client.User, email string, err error) {
	if f.Email == "" || f.Password == "" {
		if f.Email, f.Password, err = account(ctx, f.Namespace, f.Stack); err != nil {
			return client.User{}, "", err
		}
	}
	if user, err = api.Login(ctx, f.Email, f.Password); err != nil {
		return client.User{}, "", fmt.Errorf("log in as the manager %s at %s: %w", f.Email, f.URL, err)
	}
	return user, f.Email, nil
}

// account returns the manager's account that the operator created for a stack.
func account(ctx context.Context, namespace, stack string) (email, password string, err error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return "", "", fmt.Errorf("find the cluster (set KUBECONFIG to the output of `make kubeconfig`, or MANAGER_EMAIL and MANAGER_PASSWORD): %w", err)
	}
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", "", fmt.Errorf("reach the cluster: %w", err)
	}
	secret, err := cluster.CoreV1().Secrets(namespace).Get(ctx, stack+"-manager", metav1.GetOptions{})
	if err != nil {
		return "", "", fmt.Errorf("read the manager's Secret (does the stack %s/%s exist? see `kubectl get estack -A`): %w", namespace, stack, err)
	}
	return string(secret.Data["email"]), string(secret.Data["password"]), nil
}
