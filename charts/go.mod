module ecommerce-stack.dev/charts

go 1.26
