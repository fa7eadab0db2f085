// Package manager finds the manager's account of a stack in a cluster.
package manager

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Account returns the manager's account that the operator created for a stack.
func Account(ctx context.Context, namespace, stack string) (email, password string, err error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return "", "", fmt.Errorf("find the cluster (set KUBECONFIG to the output of `make kubeconfig`, or MANAGER_EMAIL and MANAGER_PASSWORD): %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", "", fmt.Errorf("reach the cluster: %w", err)
	}
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, stack+"-manager", metav1.GetOptions{})
	if err != nil {
		return "", "", fmt.Errorf("read the manager's Secret (does the stack %s/%s exist? see `kubectl get estack -A`): %w", namespace, stack, err)
	}
	return string(secret.Data["email"]), string(secret.Data["password"]), nil
}
