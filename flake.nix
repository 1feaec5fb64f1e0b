{
  description = "Flash attention for Apple GPUs in PyTorch";

  inputs.kernel-builder.url = "github:huggingface/kernels";

  # A flake does not inherit these from its inputs.
  nixConfig = {
    extra-substituters = [ "https://huggingface.cachix.org" ];
    extra-trusted-public-keys = [
      "huggingface.cachix.org-1:ynTPbLS0W8ofXd9fDjk1KvoFky9K2jhxe6r4nXAkc/o="
    ];
  };

  outputs =
    { self, kernel-builder }:
    let
      built = kernel-builder.lib.genKernelFlakeOutputs {
        inherit self;
        path = ./.;
        # The shells have torch, kernels, pytest and kernel-builder; these are for codegen, parity
        # and the tests, which on a Mac run on its GPU.
        pythonCheckInputs =
          python: with python; [
            hypothesis
            jinja2
            numpy
            pytest-xdist
            rich
          ];
      };

      # `kernels` is the builder's name for its command line; here it is what is built.
      named =
        packages:
        packages
        // {
          kernels = packages.backendBundle.metal or packages.bundle;
          kernels-cli = packages.kernels;
        };
    in
    built // { packages = builtins.mapAttrs (_: named) built.packages; };
}
