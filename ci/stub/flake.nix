# Stands in for kernel-builder, so that our flake can be evaluated without it and without a Mac.
# It offers the outputs of the builder's genKernelFlakeOutputs, as derivations that build nothing,
# and picks a kernel's sources by the builder's rules.
{
  description = "A stand-in for kernel-builder";

  outputs =
    _:
    let
      inherit (builtins)
        attrNames
        concatLists
        concatMap
        filter
        map
        pathExists
        ;

      # Beside this file when it is used: the torch releases of the builder, ["2.13", ...].
      torchVersions = builtins.fromJSON (builtins.readFile ./torch.json);

      systems = [
        "aarch64-darwin"
        "aarch64-linux"
        "x86_64-linux"
      ];

      forEach =
        names: make:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = make name;
          }) names
        );

      filesUnder =
        root: folder:
        let
          entries = builtins.readDir (root + "/${folder}");
          visit =
            name:
            let
              path = "${folder}/${name}";
            in
            if entries.${name} == "directory" then filesUnder root path else [ path ];
        in
        concatMap visit (attrNames entries);

      # build.toml, what it lists, and the files of torch-ext/ and tests/ with a pyext extension.
      sourcesOf =
        root:
        let
          toml = builtins.fromTOML (builtins.readFile (root + "/build.toml"));
          extension = toml.torch or toml.torch-noarch;
          pyext =
            extension.pyext or [
              "py"
              "pyi"
            ];
          isPython = path: builtins.any (ext: builtins.match ".*\\.${ext}" path != null) pyext;
          listed =
            [ "build.toml" ]
            ++ extension.src or [ ]
            ++ concatLists (map (kernel: kernel.src) (builtins.attrValues (toml.kernel or { })));
          absent = filter (path: !pathExists (root + "/${path}")) listed;
          python = concatMap (
            folder: if pathExists (root + "/${folder}") then filter isPython (filesUnder root folder) else [ ]
          ) [ "torch-ext" "tests" ];
        in
        if absent != [ ] then
          throw "build.toml lists what does not exist: ${toString absent}"
        else if !pathExists (root + "/torch-ext") then
          throw "there is no torch-ext"
        else
          listed ++ python;

      sourceTree =
        root:
        let
          wanted = sourcesOf root;
          prefix = builtins.stringLength (toString root) + 1;
          relative = path: builtins.substring prefix (-1) path;
          leadsToWanted =
            folder: builtins.any (file: builtins.substring 0 (builtins.stringLength folder) file == folder) wanted;
        in
        builtins.path {
          path = root;
          name = "source";
          filter =
            path: type:
            if type == "directory" then leadsToWanted "${relative path}/" else builtins.elem (relative path) wanted;
        };

      outputsFor =
        arguments: system:
        let
          inherit (arguments) self path;
          rev = self.shortRev or self.dirtyShortRev or (throw "the kernel is not in a git repository");
          toml = builtins.fromTOML (builtins.readFile (path + "/build.toml"));

          # The builder's Metal builds are for macOS alone.
          isDarwin = system == "aarch64-darwin";
          hasMetal = isDarwin && builtins.elem "metal" toml.general.backends;
          archVariant =
            version: "torch${builtins.replaceStrings [ "." ] [ "" ] version}-metal-aarch64-darwin";
          variants = if hasMetal then map archVariant (arguments.torchVersions torchVersions) else [ ];
          best = if variants == [ ] then throw "no build variant for ${system}" else builtins.head variants;

          derive =
            name: inputs:
            derivation {
              inherit name system rev;
              builder = "/bin/false";
              src = sourceTree path;
              inputs = map toString inputs;
            };
          python = forEach [ "hypothesis" "jinja2" "numpy" "pytest-xdist" "rich" ] (name: derive name [ ]);
          checkInputs =
            arguments.pythonCheckInputs python ++ arguments.pythonNativeCheckInputs python;
          redistributable = forEach variants (name: derive "${toml.general.name}-${name}" [ ]);
          bundle = derive "torch-ext-bundle" (builtins.attrValues redistributable);
          ciTests = forEach variants (_: derive "ci-test" checkInputs);
          ci = derive "torch-ext-bundle" [ redistributable.${best} ];
        in
        {
          packages = {
            inherit
              bundle
              ci
              ciTests
              redistributable
              variants
              ;
            default = bundle;
            archVariants = variants;
            backendBundle = if hasMetal then { metal = bundle; } else { };
            backendCi = if hasMetal then { metal = ci; } else { };
            build-and-copy = derive "build-and-copy" [ bundle ];
            build-and-upload = derive "build-and-upload" [ bundle ];
            ci-test = ciTests.${best};
            kernels = derive "python3-env" [ ];
            pkgs = { };
          };
          devShells = rec {
            devShells = forEach variants (_: derive "dev-shell" checkInputs);
            testShells = forEach variants (_: derive "test-shell" checkInputs);
            default = devShells.${best};
            test = testShells.${best};
          };
        };
    in
    {
      lib.genKernelFlakeOutputs =
        {
          self,
          path,
          doGetKernelCheck ? true,
          pythonCheckInputs ? _: [ ],
          pythonNativeCheckInputs ? _: [ ],
          torchVersions ? versions: versions,
        }:
        let
          arguments = {
            inherit
              self
              path
              pythonCheckInputs
              pythonNativeCheckInputs
              torchVersions
              ;
          };
          perSystem = forEach systems (outputsFor arguments);
        in
        {
          packages = forEach systems (system: perSystem.${system}.packages);
          devShells = forEach systems (system: perSystem.${system}.devShells);
        };
    };
}
