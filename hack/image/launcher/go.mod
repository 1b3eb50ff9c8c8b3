module lanyard.dev/hack/image/launcher

go 1.24.0
